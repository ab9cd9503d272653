add_library(bench_measure STATIC bench/measure.cpp)
target_include_directories(bench_measure PUBLIC bench)
target_link_libraries(bench_measure PRIVATE sluice_warnings)

add_executable(index_bench
  bench/index/lmdb.cpp
  bench/index/main.cpp
  bench/index/ours.cpp)
target_link_libraries(index_bench PRIVATE bench_measure sluice_data sluice_warnings)

add_executable(train_bench
  bench/train/dlrm.cpp
  bench/train/dlrm_data.cpp
  bench/train/limits.cpp
  bench/train/loader.cpp
  bench/train/main.cpp
  bench/train/part.cpp
  bench/train/resnet.cpp)
target_link_libraries(train_bench PRIVATE bench_measure sluice_train sluice_torch sluice_warnings)

add_executable(gpu_bench
  bench/gpu/dlrm.cpp
  bench/gpu/image.cpp
  bench/gpu/main.cpp
  bench/gpu/script.cpp
  bench/gpu/text.cpp
  bench/train/dlrm_data.cpp
  bench/train/part.cpp)
target_include_directories(gpu_bench PRIVATE bench/train)
target_link_libraries(gpu_bench PRIVATE bench_measure sluice_train sluice_torch sluice_warnings)
