# The half of the core that computes: models, training, evaluation, model files. Only compute.cpp, models/torch_model.h
# and what includes it, and the files of train/script see torch's headers.
add_library(sluice_train STATIC
  src/eval/auc.cpp
  src/eval/evaluate.cpp
  src/modelstore/safetensors.cpp
  src/train/batch_slot.cpp
  src/modelstore/weights.cpp
  src/train/checkpoint.cpp
  src/train/compute.cpp
  src/train/criterion.cpp
  src/train/diverged.cpp
  src/train/early_stop.cpp
  src/train/encoder.cpp
  src/train/epoch_order.cpp
  src/train/features.cpp
  src/train/fit.cpp
  src/train/image_encoder.cpp
  src/train/in_training.cpp
  src/train/kernels.cpp
  src/train/loader.cpp
  src/train/models/batch_norm.cpp
  src/train/models/cnn.cpp
  src/train/models/dlrm.cpp
  src/train/models/embedding.cpp
  src/train/models/initial.cpp
  src/train/models/make_model.cpp
  src/train/models/mlp.cpp
  src/train/models/mlp_model.cpp
  src/train/models/resnet.cpp
  src/train/models/torch_model.cpp
  src/train/models/transformer.cpp
  src/train/optimizer.cpp
  src/train/panels.cpp
  src/train/parser_queue.cpp
  src/train/plan_identity.cpp
  src/train/recorder.cpp
  src/train/sample_scores.cpp
  src/train/schedule.cpp
  src/train/set_sampler.cpp
  src/train/script/archive.cpp
  src/train/script/check.cpp
  src/train/script/graph_check.cpp
  src/train/script/large_stack.cpp
  src/train/script/operators.cpp
  src/train/script/pickle_scan.cpp
  src/train/script/script_model.cpp
  src/train/script/script_module.cpp
  src/train/script/source_check.cpp
  src/train/script/source_limits.cpp
  src/train/script/tick.cpp
  src/train/script/to_device.cpp
  src/train/train.cpp)
target_include_directories(sluice_train PUBLIC src)
if(SLUICE_CUDA)
  # The kernels apart: nvcc does not know the options that LibTorch's users are compiled with.
  add_library(sluice_kernels_cuda OBJECT src/cuda/launch.cu)
  target_include_directories(sluice_kernels_cuda PRIVATE src)
  target_include_directories(sluice_kernels_cuda SYSTEM PRIVATE "${SLUICE_TORCH_FOUND}/include")
  target_compile_options(sluice_kernels_cuda PRIVATE --expt-relaxed-constexpr)
  target_sources(sluice_train PRIVATE src/cuda/cuda.cpp src/cuda/net.cpp src/cuda/runtime.cpp src/cuda/torch_training.cpp $<TARGET_OBJECTS:sluice_kernels_cuda>)
  target_link_libraries(sluice_train PUBLIC sluice_cudart)
else()
  target_sources(sluice_train PRIVATE src/cuda/no_cuda.cpp src/cuda/no_torch_training.cpp)
  set_source_files_properties(src/cuda/no_cuda.cpp PROPERTIES COMPILE_DEFINITIONS "SLUICE_CUDA_ABSENCE=\"${SLUICE_CUDA_ABSENCE}\"")
endif()
target_link_libraries(sluice_train PUBLIC sluice_data PRIVATE sluice_torch sluice_json sluice_warnings)

# The inner loops once per instruction set; kernels() chooses at run time.
function(sluice_kernel_files set)
  cmake_parse_arguments(PARSE_ARGV 1 KERNELS "" "" "FILES;FLAGS")
  add_library(sluice_kernels_${set} OBJECT ${KERNELS_FILES})
  target_include_directories(sluice_kernels_${set} PRIVATE src)
  target_compile_definitions(sluice_kernels_${set} PRIVATE SLUICE_KERNELS=kernels_${set})
  target_compile_options(sluice_kernels_${set} PRIVATE -O3 -fno-math-errno -fno-trapping-math -Wno-psabi ${KERNELS_FLAGS})
  target_link_libraries(sluice_kernels_${set} PRIVATE sluice_warnings)
  target_sources(sluice_train PRIVATE $<TARGET_OBJECTS:sluice_kernels_${set}>)
endfunction()
function(sluice_kernels set vector_bytes)
  sluice_kernel_files(${set} FILES src/train/kernels_impl.cpp src/train/interaction_impl.cpp src/train/gemm_impl.cpp src/train/image_kernels_impl.cpp src/train/norm_kernels_impl.cpp FLAGS -DSLUICE_VECTOR_BYTES=${vector_bytes} ${ARGN})
endfunction()
sluice_kernels(base 16)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  sluice_kernels(avx2 32 -mavx2 -mfma)
  set(avx512 -mavx512f -mavx512vl -mavx512bw -mavx512dq -mfma)
  sluice_kernels(avx512 64 ${avx512})
  sluice_kernel_files(bf16 FILES src/train/gemm_bf16.cpp FLAGS -mavx512bf16 ${avx512})
endif()
