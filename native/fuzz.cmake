# Fuzz targets of everything that reads foreign bytes: one program for each native/fuzz/<target>.cpp. With clang they are libFuzzer's,
# with another compiler fuzz/driver.cpp runs and mutates the corpus. SLUICE_FUZZ is ON, or ALL for those that need LibTorch, too.
set(SLUICE_FUZZ_TARGETS archive chunk dataset deletion metadata pages pickle records safetensors schema state_log trainset)
set(SLUICE_FUZZ_SANITIZERS address,undefined)
set(fuzz_engine "")
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(fuzz_engine -fsanitize=fuzzer)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
add_compile_options(-O1 -fsanitize=${SLUICE_FUZZ_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
add_link_options(-fsanitize=${SLUICE_FUZZ_SANITIZERS})

include(data.cmake)
if(fuzz_engine) # most of the time would be spent on telling how checksums come about
  set_source_files_properties(src/base/crc32c.cpp PROPERTIES COMPILE_OPTIONS -fno-sanitize=fuzzer-no-link)
endif()
target_compile_options(sluice_lmdb PRIVATE -fno-sanitize=undefined) # its nodes are aligned to two bytes

# What reads without LibTorch of the half that computes.
add_library(sluice_readers STATIC
  src/modelstore/safetensors.cpp
  src/modelstore/weights.cpp
  src/train/checkpoint.cpp
  src/train/encoder.cpp
  src/train/features.cpp
  src/train/image_encoder.cpp
  src/train/image_kernels_impl.cpp
  src/train/parser_queue.cpp
  src/train/script/archive.cpp
  src/train/script/pickle_scan.cpp)
set_source_files_properties(src/train/image_kernels_impl.cpp PROPERTIES COMPILE_OPTIONS "-Wno-psabi" COMPILE_DEFINITIONS "SLUICE_KERNELS=kernels_base;SLUICE_VECTOR_BYTES=16")
target_link_libraries(sluice_readers PUBLIC sluice_data sluice_json PRIVATE sluice_warnings)

if(SLUICE_FUZZ STREQUAL "ALL")
  include(cmake/LibTorch.cmake)
  list(APPEND SLUICE_FUZZ_TARGETS script)
  add_library(sluice_script STATIC src/train/script/check.cpp src/train/script/graph_check.cpp src/train/script/large_stack.cpp src/train/script/operators.cpp
    src/train/script/script_module.cpp src/train/script/source_check.cpp src/train/script/source_limits.cpp src/train/script/tick.cpp src/train/script/to_device.cpp)
  target_link_libraries(sluice_script PUBLIC sluice_readers sluice_torch)
endif()

if(NOT fuzz_engine)
  add_library(fuzz_driver OBJECT fuzz/driver.cpp)
  target_include_directories(fuzz_driver PRIVATE src fuzz)
endif()
foreach(target IN LISTS SLUICE_FUZZ_TARGETS)
  add_executable(fuzz_${target} fuzz/${target}.cpp)
  target_include_directories(fuzz_${target} PRIVATE fuzz)
  target_link_libraries(fuzz_${target} PRIVATE sluice_readers sluice_warnings)
  target_link_options(fuzz_${target} PRIVATE ${fuzz_engine})
  if(NOT fuzz_engine)
    target_link_libraries(fuzz_${target} PRIVATE fuzz_driver)
  endif()
endforeach()
if(TARGET fuzz_script)
  target_link_libraries(fuzz_script PRIVATE sluice_script)
  target_compile_definitions(fuzz_script PRIVATE SLUICE_FIXTURES="${CMAKE_CURRENT_SOURCE_DIR}/tests/fixtures")
endif()
