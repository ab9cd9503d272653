# nlohmann/json, header-only: of the system, or the copy that scripts/build.mjs keeps under .cache/json.
add_library(sluice_json INTERFACE)
find_path(SLUICE_JSON_INCLUDE nlohmann/json.hpp HINTS "${SLUICE_ROOT}/.cache/json/nlohmann_json/include")
if(NOT SLUICE_JSON_INCLUDE)
  message(FATAL_ERROR "nlohmann/json.hpp was not found: run npm install, which fetches it, or install nlohmann-json3-dev.")
endif()
target_include_directories(sluice_json SYSTEM INTERFACE "${SLUICE_JSON_INCLUDE}")
