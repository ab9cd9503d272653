# The half of the core that keeps: storage with the sample index, selection, frozen training sets. No LibTorch here.
if(NOT EXISTS "${SLUICE_LMDB_DIR}/mdb.c")
  message(FATAL_ERROR "LMDB's sources are not in ${SLUICE_LMDB_DIR}; run npm install first (the package lmdb brings them).")
endif()
add_library(sluice_lmdb STATIC "${SLUICE_LMDB_DIR}/mdb.c" "${SLUICE_LMDB_DIR}/midl.c")
target_include_directories(sluice_lmdb SYSTEM PUBLIC "${SLUICE_LMDB_DIR}")
target_compile_options(sluice_lmdb PRIVATE -w -fvisibility=hidden)
target_link_libraries(sluice_lmdb PUBLIC Threads::Threads)

add_library(sluice_data STATIC
  src/base/buffer.cpp
  src/base/crc32c.cpp
  src/base/error.cpp
  src/base/file.cpp
  src/base/guarded_mapping.cpp
  src/base/memory.cpp
  src/base/murmur3.cpp
  src/base/read_ahead.cpp
  src/base/siphash.cpp
  src/select/filter.cpp
  src/select/freshness.cpp
  src/select/uniform.cpp
  src/storage/append.cpp
  src/storage/backup.cpp
  src/storage/block.cpp
  src/storage/chunk.cpp
  src/storage/compact.cpp
  src/storage/dataset.cpp
  src/storage/deletions.cpp
  src/storage/file_index.cpp
  src/storage/file_moves.cpp
  src/storage/file_records.cpp
  src/storage/file_span.cpp
  src/storage/file_values.cpp
  src/storage/findings.cpp
  src/storage/folders.cpp
  src/storage/index_writer.cpp
  src/storage/lmdb_env.cpp
  src/storage/metadata.cpp
  src/storage/metadata_format.cpp
  src/storage/metadata_upkeep.cpp
  src/storage/page_walk.cpp
  src/storage/repair.cpp
  src/storage/scan_trail.cpp
  src/storage/schema.cpp
  src/storage/segments.cpp
  src/storage/snapshot.cpp
  src/storage/state_log.cpp
  src/storage/statistics.cpp
  src/storage/store.cpp
  src/trainset/trainset.cpp
  src/waiting/block.cpp
  src/waiting/decide.cpp
  src/waiting/log.cpp
  src/waiting/part.cpp
  src/waiting/state.cpp
  src/waiting/waiting.cpp)
target_include_directories(sluice_data PUBLIC src)
target_link_libraries(sluice_data PUBLIC sluice_lmdb Threads::Threads PRIVATE sluice_warnings)
