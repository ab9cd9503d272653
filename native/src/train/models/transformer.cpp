// Encoders of BERT's architecture (Devlin et al., 2019, arXiv 1810.04805) with a classifier, as Hugging Face's
// BertForSequenceClassification and DistilBertForSequenceClassification (Sanh et al., 2019, arXiv 1910.01108).
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/models/initial.h"
#include "train/models/torch_model.h"

namespace sluice {

namespace {

constexpr double kDeviation = 0.02;  // of initial weights
constexpr double kEps = 1e-12;       // of layer norms
constexpr int32_t kPadding = 0;      // the id
constexpr uint32_t kLengthStep = 32; // of batches on a GPU: few lengths, so that few steps are captured, which the attention's kernels like

struct Linear {
  at::Tensor weight, bias;
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};

struct Norm {
  at::Tensor weight, bias;
  at::Tensor operator()(const at::Tensor& x) const { return at::layer_norm(x, {weight.size(0)}, weight, bias, kEps); }
};

struct Layer {
  Linear query, key, value, out;
  Norm attention_norm;
  Linear inner, outer;
  Norm output_norm;
};

/// Where the two architectures name the same things differently.
struct Names {
  std::string base, layer, query, key, value, out, attention_norm, inner, outer, output_norm;
};

const Names& names_of(TransformerSpec::Kind kind) {
  static const Names bert{"bert.", "encoder.layer.", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                          "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"};
  static const Names distilbert{"distilbert.", "transformer.layer.", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
                                "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"};
  return kind == TransformerSpec::kBert ? bert : distilbert;
}

class Transformer final : public TorchModel {
 public:
  Transformer(const TransformerSpec& spec, const ModelOptions& options)
      : TorchModel(spec.kind == TransformerSpec::kBert ? "bert" : "distilbert", options, spec.outputs, {0, 0, 0, spec.length}), spec_(spec), initial_(options) {
    const Names& n = names_of(spec.kind);
    const std::string embeddings = n.base + "embeddings.";
    words_ = table(embeddings + "word_embeddings", spec.vocabulary, true);
    positions_ = table(embeddings + "position_embeddings", spec.positions, false);
    if (bert()) types_ = table(embeddings + "token_type_embeddings", 2, false);
    embedding_norm_ = norm(embeddings + "LayerNorm");
    for (uint32_t i = 0; i < spec.layers; ++i) layers_.push_back(layer(n, n.base + n.layer + std::to_string(i) + "."));
    before_ = linear(bert() ? "bert.pooler.dense" : "pre_classifier", spec.width, spec.width, 1);
    classifier_ = linear("classifier", spec.width, spec.outputs, 1);
    // Products of queries with keys and of attention with values.
    add_flops(4.0 * spec.layers * static_cast<double>(spec.length) * spec.length * spec.width);
    set_embedding_width(spec.width);
  }

 private:
  bool bert() const { return spec_.kind == TransformerSpec::kBert; }

  at::Tensor table(const std::string& name, int64_t rows, bool padded) {
    at::Tensor values = initial_.normal({rows, spec_.width}, kDeviation);
    if (padded) values.select(0, kPadding).zero_();
    return take(name + ".weight", values);
  }
  Norm norm(const std::string& name) {
    const int64_t width = spec_.width;
    const at::Tensor weight = take(name + ".weight", Initial::constant({width}, 1.0));
    return {weight, take(name + ".bias", Initial::constant({width}, 0.0))};
  }
  Linear linear(const std::string& name, int64_t in, int64_t out, int64_t positions) {
    const at::Tensor weight = take(name + ".weight", initial_.normal({out, in}, kDeviation));
    add_flops(2.0 * static_cast<double>(in) * static_cast<double>(out) * static_cast<double>(positions));
    return {weight, take(name + ".bias", Initial::constant({out}, 0.0))};
  }
  Layer layer(const Names& n, const std::string& name) {
    const int64_t width = spec_.width;
    const int64_t length = spec_.length;
    Layer result;
    result.query = linear(name + n.query, width, width, length);
    result.key = linear(name + n.key, width, width, length);
    result.value = linear(name + n.value, width, width, length);
    result.out = linear(name + n.out, width, width, length);
    result.attention_norm = norm(name + n.attention_norm);
    result.inner = linear(name + n.inner, width, spec_.hidden, length);
    result.outer = linear(name + n.outer, spec_.hidden, width, length);
    result.output_norm = norm(name + n.output_norm);
    return result;
  }

  /// Throws for an id beyond the vocabulary, before a GPU sees it. Finds how many columns of the ids a pass takes: as many as the longest
  /// row fills.
  uint32_t inspect(const Batch& batch) override {
    const size_t length = spec_.length;
    size_t used = 1;
    for (size_t r = 0; r < batch.rows; ++r) {
      const int32_t* row = batch.ids + r * length;
      for (size_t i = 0; i < length; ++i) {
        if (row[i] == kPadding) continue;
        used = std::max(used, i + 1);
        if (row[i] > 0 && static_cast<uint32_t>(row[i]) < spec_.vocabulary) continue;
        throw Error(code::kShape, (batch.keys == nullptr ? std::string("row ") + std::to_string(r) : "sample " + std::to_string(batch.keys[r])) + ": token id " +
                                      std::to_string(row[i]) + " is none of the model's vocabulary of " + std::to_string(spec_.vocabulary));
      }
    }
    if (on_gpu()) used = std::min<size_t>((used + kLengthStep - 1) / kLengthStep * kLengthStep, length);
    used_ = static_cast<uint32_t>(used);
    return used_;
  }

  /// Ids [rows, used columns].
  at::Tensor ids_of(const Batch& batch) const {
    const std::array<int64_t, 2> shape{static_cast<int64_t>(batch.rows), spec_.length};
    const at::Tensor ids = at::from_blob(const_cast<int32_t*>(batch.ids), shape, at::TensorOptions(at::kInt).device(device()));
    return ids.slice(1, 0, used_).to(at::kLong);
  }

  /// Added to the attention's scores, [rows, 1, 1, length]: minus infinity at the padding. The first position is always
  /// seen, so that a row of padding alone stays finite.
  static at::Tensor mask_of(const at::Tensor& ids, at::ScalarType type) {
    at::Tensor hidden = ids.eq(kPadding);
    hidden.select(1, 0).fill_(false);
    at::Tensor mask = at::zeros({ids.size(0), 1, 1, ids.size(1)}, ids.options().dtype(type));
    return mask.masked_fill_(hidden.view(mask.sizes()), -std::numeric_limits<float>::infinity());
  }

  at::Tensor heads(const at::Tensor& x) const { return x.view({x.size(0), x.size(1), spec_.heads, -1}).transpose(1, 2); }

  /// mask: made by the first layer, which knows the number format of its products.
  at::Tensor apply(const Layer& layer, const at::Tensor& x, const at::Tensor& ids, at::Tensor& mask, bool training) const {
    const double p = training ? spec_.dropout : 0.0;
    const at::Tensor query = heads(layer.query(x));
    if (!mask.defined()) mask = mask_of(ids, query.scalar_type());
    const at::Tensor context = at::scaled_dot_product_attention(query, heads(layer.key(x)), heads(layer.value(x)), mask, p);
    const at::Tensor attended = at::dropout(layer.out(context.transpose(1, 2).reshape(x.sizes())), p, training);
    const at::Tensor y = layer.attention_norm(attended + x);
    return layer.output_norm(at::dropout(layer.outer(at::gelu(layer.inner(y))), p, training) + y);
  }

  Output run(const Batch& batch, bool training) override {
    const at::Tensor ids = ids_of(batch);
    at::Tensor x = at::embedding(words_, ids, kPadding) + positions_.slice(0, 0, ids.size(1)).unsqueeze(0);
    if (bert()) x = x + types_[0];
    x = at::dropout(embedding_norm_(x), spec_.dropout, training);
    at::Tensor mask;
    for (const Layer& layer : layers_) x = apply(layer, x, ids, mask, training);
    const at::Tensor first = before_(x.select(1, 0));
    const at::Tensor embeddings = at::dropout(bert() ? at::tanh(first) : at::relu(first), spec_.classifier_dropout, training);
    return {classifier_(embeddings), embeddings};
  }

  TransformerSpec spec_;
  Initial initial_;
  at::Tensor words_, positions_, types_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  Linear before_, classifier_;
  uint32_t used_ = 0;  // columns of the ids of the batch inspected last
};

void check(const TransformerSpec& spec) {
  const auto fail = [](const std::string& what) { throw Error(code::kShape, "transformer: " + what); };
  if (spec.heads == 0 || spec.width == 0 || spec.width % spec.heads != 0) {
    fail("expected a width that the heads divide, got width " + std::to_string(spec.width) + " and " + std::to_string(spec.heads) + " heads");
  }
  if (spec.vocabulary == 0 || spec.hidden == 0 || spec.layers == 0 || spec.outputs == 0) fail("expected at least 1 token, layer, hidden unit and output");
  if (spec.length == 0 || spec.length > spec.positions) {
    fail("expected 1 to " + std::to_string(spec.positions) + " token ids (the positions), got " + std::to_string(spec.length));
  }
  for (const float dropout : {spec.dropout, spec.classifier_dropout}) {
    if (!(dropout >= 0.0F && dropout < 1.0F)) fail("dropout: expected 0 to below 1");
  }
}

}  // namespace

std::unique_ptr<Model> make_transformer(const TransformerSpec& spec, const ModelOptions& options) {
  check(spec);
  return std::make_unique<Transformer>(spec, options);
}

}  // namespace sluice
