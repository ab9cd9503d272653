# The addon: bindings/ over the core. CMAKE_JS_* come from cmake-js.
include("${SLUICE_ROOT}/bindings/sources.cmake")
list(TRANSFORM SLUICE_BINDING_SOURCES PREPEND "${SLUICE_ROOT}/")
add_library(sluice SHARED ${SLUICE_BINDING_SOURCES} ${CMAKE_JS_SRC})
set_target_properties(sluice PROPERTIES PREFIX "" SUFFIX ".node" CXX_VISIBILITY_PRESET hidden
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
target_include_directories(sluice PRIVATE "${SLUICE_ROOT}/bindings")
target_include_directories(sluice SYSTEM PRIVATE ${CMAKE_JS_INC} "${SLUICE_ROOT}/node_modules/node-addon-api")
target_link_libraries(sluice PRIVATE sluice_train sluice_data sluice_torch sluice_warnings ${CMAKE_JS_LIB})
# Nothing but the module's entry point is exported: the host and other addons may bring an LMDB or a torch of their own.
target_link_options(sluice PRIVATE "-Wl,--exclude-libs,libsluice_data.a:libsluice_train.a:libsluice_lmdb.a")
