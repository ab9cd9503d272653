// The parts of the addon; each registers its functions.
#pragma once
#include "napi_setup.h"

namespace sluice::bindings {

void define_storage(Napi::Object exports);
void define_check(Napi::Object exports);
void define_checksum(Napi::Object exports);
void define_deletion(Napi::Object exports);
void define_files(Napi::Object exports);
void define_select(Napi::Object exports);
void define_trainset(Napi::Object exports);
void define_metadata(Napi::Object exports);
void define_waiting(Napi::Object exports);
void define_train(Napi::Object exports);
void define_eval(Napi::Object exports);
void define_parser(Napi::Object exports);
void define_modelstore(Napi::Object exports);

}  // namespace sluice::bindings
