#include "base/error.h"
#include "train/model.h"

namespace sluice {

std::unique_ptr<Model> make_resnet(const ResNetSpec&, const ModelOptions&) { throw Error(code::kInternal, "resnet"); }
std::unique_ptr<Model> make_cnn(const CnnSpec&, const ModelOptions&) { throw Error(code::kInternal, "cnn"); }
std::unique_ptr<Model> make_transformer(const TransformerSpec&, const ModelOptions&) { throw Error(code::kInternal, "transformer"); }

}  // namespace sluice
