#include "base/error.h"
#include "train/model.h"

namespace sluice {

std::unique_ptr<Model> make_transformer(const TransformerSpec&, const ModelOptions&) { throw Error(code::kInternal, "transformer"); }

}  // namespace sluice
