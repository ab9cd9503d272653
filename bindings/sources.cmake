# The border between the core and JavaScript. Included from native/CMakeLists.txt, which knows SLUICE_ROOT,
# SLUICE_TORCH_VERSION, SLUICE_CUDA and SLUICE_LMDB_DIR. Paths are relative to the repository's root.
set(SLUICE_BINDING_SOURCES
  bindings/args.cpp
  bindings/arrays.cpp
  bindings/check.cpp
  bindings/checksum.cpp
  bindings/deletion.cpp
  bindings/describe.cpp
  bindings/eval.cpp
  bindings/files.cpp
  bindings/guard.cpp
  bindings/handles.cpp
  bindings/jobs.cpp
  bindings/metadata.cpp
  bindings/modelstore.cpp
  bindings/module.cpp
  bindings/parser.cpp
  bindings/plans.cpp
  bindings/select.cpp
  bindings/storage.cpp
  bindings/train.cpp
  bindings/trainset.cpp
  bindings/views.cpp
  bindings/waiting.cpp
  bindings/workers.cpp)

# What build_info() tells.
file(STRINGS "${SLUICE_LMDB_DIR}/lmdb.h" lmdb_version_lines REGEX "define MDB_VERSION_(MAJOR|MINOR|PATCH)[ \t]")
string(REGEX MATCHALL "[0-9]+" lmdb_version_numbers "${lmdb_version_lines}")
string(REPLACE ";" "." lmdb_version "${lmdb_version_numbers}")
file(READ "${SLUICE_ROOT}/package.json" package_json)
string(JSON package_version GET "${package_json}" version)
set_source_files_properties("${SLUICE_ROOT}/bindings/module.cpp" PROPERTIES COMPILE_DEFINITIONS
  "SLUICE_VERSION=\"${package_version}\";SLUICE_TORCH_VERSION=\"${SLUICE_TORCH_VERSION}\";SLUICE_LMDB_VERSION=\"${lmdb_version}\";SLUICE_CUDA=$<BOOL:${SLUICE_CUDA}>")
