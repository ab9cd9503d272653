// The one place that includes napi.h, so that these settings always come first.
#pragma once

// Node-API 9: the newest that every Node.js 20 has.
#define NAPI_VERSION 9
// Exceptions of any type are caught in node-addon-api's own wrappers too, should one pass guard().
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
#define NODE_ADDON_API_DISABLE_DEPRECATED
// A worker that is being terminated cannot be thrown into; without this the attempt ends the process.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS

#include <napi.h>
