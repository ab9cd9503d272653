// Whether features, model and criterion belong together: checked before anything is read or trained.
#pragma once
#include "train/features.h"
#include "train/model.h"

namespace sluice {

/// E_SHAPE where the model takes other inputs than the features give, or the criterion wants another output.
void check_fit(const ModelSpec& model, const Features& features, const Schema& schema, const Criterion& criterion);

}  // namespace sluice
