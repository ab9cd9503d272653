#include "storage/backup.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/lmdb_env.h"

namespace sluice {

void copy_environment(const std::string& folder, const std::string& to) {
  if (!path_exists(folder + "/data.mdb")) throw Error(code::kNotFound, folder + " holds no index");
  const auto env = Env::open(folder, false);
  make_folders(to);
  check_lmdb(mdb_env_copy2(env->raw(), to.c_str(), MDB_CP_COMPACT), "write " + to);
  File(to + "/data.mdb", O_RDWR).sync();
  sync_folder(to);
}

}  // namespace sluice
