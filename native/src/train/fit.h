// Whether features, model and criterion belong together: checked before anything is read or trained.
#pragma once
#include "train/features.h"
#include "train/model.h"

namespace sluice {

/// E_SHAPE where the model takes other inputs than the features give, or the criterion wants another output.
void check_fit(const ModelSpec& model, const Features& features, const Schema& schema, const Criterion& criterion);

/// Token ids must be below it: the model's vocabulary; 0 where the model does not tell.
uint32_t id_limit(const ModelSpec& model);

}  // namespace sluice
