// Weights that another program saved, as a model's first ones: torchvision's and Hugging Face's state dicts as safetensors.
#pragma once
#include <string>
#include <vector>

#include "train/model.h"

namespace sluice {

/// Fills the tensors from the file by name; F32, F16, BF16 and F64 become float. A prefix "bert." or "distilbert." may lack on either
/// side, and LayerNorm.gamma and .beta mean .weight and .bias. The last layers (fc, classifier, pre_classifier, pooler) stay
/// as they are where the file lacks them or has the last one for another number of classes: their names are returned. Integers
/// and other heads in the file are ignored. E_SHAPE names what else does not fit; E_NOT_FOUND, E_CORRUPT.
std::vector<std::string> load_weights(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace sluice
