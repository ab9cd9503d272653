// DLRM and MLP on the GPU. The model on the CPU is its twin on the host: it checks the options, gives the initial weights, and holds the
// parameters and the optimizer's state when somebody wants to see them.
#pragma once
#include <functional>
#include <memory>

#include "train/model.h"

namespace sluice::gpu {

using MakeTwin = std::function<std::unique_ptr<Model>(const ModelOptions&)>;

/// E_SHAPE where a sample's interaction does not fit into a processor's shared memory, E_MEMORY where the tables do not fit into the device's.
std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options, const MakeTwin& twin);
std::unique_ptr<Model> make_mlp(const MlpSpec& spec, const ModelOptions& options, const MakeTwin& twin);

}  // namespace sluice::gpu
