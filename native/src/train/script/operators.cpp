#include "train/script/operators.h"

#include <sstream>
#include <unordered_set>

namespace sluice {

namespace {

using Names = std::unordered_set<std::string>;

// A star stands for the form that works in place: "relu*" is relu and relu_.
constexpr const char* kArithmetic = R"(
  abs* absolute* add* addcdiv* addcmul* angle bitwise_and* bitwise_left_shift* bitwise_not* bitwise_or* bitwise_right_shift* bitwise_xor* ceil*
  clamp* clamp_max* clamp_min* clip* conj conj_physical* copysign* deg2rad* div* divide* exp* exp2* expm1* fix* float_power* floor* floor_divide* fmod*
  frac* frexp gcd* hypot* i0* igamma* igammac* lcm* ldexp* lerp* lgamma* digamma* log* log10* log1p* log2* logaddexp logaddexp2 logit* mul* multiply*
  mvlgamma* nan_to_num* neg* negative* nextafter* polygamma* positive pow* rad2deg* real imag reciprocal* remainder* round* rsqrt* rsub sgn* sign* signbit
  sqrt* square* sub* subtract* true_divide* trunc* xlogy* erf* erfc* erfinv*
  acos* acosh* arccos* arccosh* arcsin* arcsinh* arctan* arctan2* arctanh* asin* asinh* atan* atan2* atanh* cos* cosh* sin* sinc* sinh* tan* tanh*
  factorial fabs floordiv gamma modf mathremainder degrees radians divmod __round_to_zero_floordiv
  __and__ __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__)";

constexpr const char* kComparison = R"(
  allclose eq* equal fmax fmin ge* greater* greater_equal* gt* heaviside* isclose isfinite isin isinf isnan isneginf isposinf isreal le* less* less_equal*
  logical_and* logical_not* logical_or* logical_xor* lt* maximum minimum ne* not_equal* where is_nonzero is_same_size
  __is__ __isnot__ __not__ __contains__)";

constexpr const char* kReduction = R"(
  all amax amin aminmax any argmax argmin bincount bucketize corrcoef count_nonzero cov cummax cummin cumprod* cumsum* cumulative_trapezoid diff dist
  gradient histc histogram kthvalue logcumsumexp logsumexp max mean median min mode msort nanmean nanmedian nanquantile nansum norm frobenius_norm
  nuclear_norm prod quantile searchsorted segment_reduce sort argsort std std_mean sum sum_to_size topk trapezoid trapz unique_consecutive unique_dim _unique _unique2 var var_mean)";

constexpr const char* kMatrix = R"(
  addbmm* addmm* addmv* addr* baddbmm* bilinear block_diag bmm cdist _cdist_forward chain_matmul cholesky cholesky_inverse cholesky_solve cosine_similarity cross det dot einsum
  ger inner inverse kron linear logdet matmul matrix_exp matrix_power mm mv outer pairwise_distance pdist pinverse qr renorm* slogdet svd
  tensordot trace _trilinear triangular_solve vander vdot
  linalg_cholesky linalg_cond linalg_cross linalg_det linalg_diagonal linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product linalg_inv
  linalg_lstsq linalg_lu linalg_lu_factor linalg_lu_solve linalg_matmul linalg_matrix_exp linalg_matrix_norm linalg_matrix_power linalg_matrix_rank linalg_multi_dot
  linalg_norm linalg_pinv linalg_qr linalg_slogdet linalg_solve linalg_solve_triangular linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve
  linalg_vander linalg_vecdot linalg_vector_norm)";

constexpr const char* kLayers = R"(
  conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution _convolution_mode col2im im2col unfold
  batch_norm group_norm instance_norm layer_norm local_response_norm native_batch_norm native_group_norm native_layer_norm rms_norm _weight_norm norm_except_dim
  adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d
  avg_pool1d avg_pool2d avg_pool3d fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d
  max_pool3d_with_indices max_unpool2d max_unpool3d lp_pool1d lp_pool2d
  celu* elu* gelu* glu hardshrink hardsigmoid* hardswish* hardtanh* leaky_relu* log_sigmoid log_softmax _log_softmax mish* prelu _prelu_kernel relu* relu6* rrelu* selu*
  sigmoid* silu* softmax _softmax softplus softshrink threshold*
  embedding embedding_bag _embedding_bag embedding_renorm_ one_hot _no_grad_embedding_renorm_
  rnn_tanh rnn_relu lstm gru rnn_tanh_cell rnn_relu_cell lstm_cell gru_cell _thnn_fused_lstm_cell _thnn_fused_gru_cell _pack_padded_sequence _pad_packed_sequence pad_sequence
  scaled_dot_product_attention _scaled_dot_product_attention_math _native_multi_head_attention _transformer_encoder_layer_fwd _masked_softmax _safe_softmax
  _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned to_padded_tensor is_nested
  dropout* alpha_dropout* feature_alpha_dropout* feature_dropout* native_dropout
  affine_grid_generator grid_sampler grid_sampler_2d grid_sampler_3d channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle
  constant_pad_nd pad _pad_circular _pad_enum reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
  upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d __interpolate __upsample
  __upsample_bilinear __upsample_nearest _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d)";

constexpr const char* kLosses = R"(
  binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy_loss ctc_loss hinge_embedding_loss huber_loss kl_div l1_loss
  margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d nll_loss_nd poisson_nll_loss smooth_l1_loss soft_margin_loss
  triplet_margin_loss)";

constexpr const char* kShape = R"(
  adjoint alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to broadcast_shapes cartesian_prod cat chunk clone column_stack combinations concat
  concatenate contiguous copy copy_ detach* diag diag_embed diagflat diagonal dim dsplit dstack expand expand_as flatten flip fliplr flipud
  hsplit hstack is_contiguous mH mT matrix_H meshgrid moveaxis movedim narrow numel numpy_T permute ravel repeat repeat_interleave reshape reshape_as _reshape_from_tensor
  resolve_conj resolve_neg roll rot90 row_stack select size _shape_as_tensor slice split split_with_sizes squeeze* stack stride storage_offset swapaxes* swapdims* t* tensor_split
  tile transpose* tril* triu* unbind unflatten unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze* view view_as view_as_complex view_as_real vsplit vstack _unsafe_view
  _infer_size T H shape ndim)";

constexpr const char* kIndexing = R"(
  argwhere diagonal_scatter fill* fill_diagonal_ gather index index_add* index_copy* index_fill* index_put* index_reduce* index_select masked_fill* masked_scatter*
  masked_select nonzero nonzero_numpy put* scatter* scatter_add* scatter_reduce* select_scatter slice_scatter take take_along_dim zero* __getitem__ _set_item)";

constexpr const char* kCreation = R"(
  arange as_tensor blackman_window bartlett_window complex empty empty_like empty_strided eye full full_like hamming_window hann_window kaiser_window linspace logspace new_empty
  new_full new_ones new_zeros ones ones_like polar scalar_tensor tensor tril_indices triu_indices zeros zeros_like
  bernoulli* binomial cauchy_ exponential_ geometric_ log_normal_ multinomial normal* poisson rand rand_like randint randint_like randn randn_like randperm random_
  uniform* _no_grad_fill_ _no_grad_normal_ _no_grad_uniform_ _no_grad_zero_ _sample_dirichlet _standard_gamma)";

constexpr const char* kSpectral = R"(
  fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_ihfft fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftfreq
  fft_rfftn istft stft special_digamma special_entr special_erf special_erfc special_erfcx special_erfinv special_exp2 special_expit special_expm1 special_gammainc
  special_gammaincc special_gammaln special_i0 special_i0e special_i1 special_i1e special_log1p special_log_ndtr special_log_softmax special_logit special_logsumexp
  special_multigammaln special_ndtr special_ndtri special_polygamma special_psi special_round special_sinc special_softmax special_xlog1py special_xlogy special_zeta)";

constexpr const char* kTypes = R"(
  Bool Complex ComplexImplicit name Float FloatImplicit Int IntImplicit ScalarImplicit _cast_Byte _cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short
  can_cast cpu cuda element_size get_device is_complex is_conj is_floating_point is_grad_enabled is_leaf is_neg is_signed item promote_types requires_grad_ result_type
  set_grad_enabled to type_as _local_scalar_dense is_autocast_enabled is_autocast_cpu_enabled get_autocast_dtype _get_tracing_state is_scripting is_coalesced
  has_torch_function _autocast_to_full_precision _autocast_to_reduced_precision _unwrap_optional _list_to_tensor _tensor_to_list _assert_async
  __new__ requires_grad dtype device layout is_cuda is_cpu is_sparse is_sparse_csr is_mkldnn is_quantized is_meta is_xla is_mps is_xpu itemsize nbytes tolist data
  bool float int double half bfloat16 long short char byte)";

constexpr const char* kContainers = R"(
  __derive_index __range_length append clear count dict endswith extend find format get index insert items join keys len list lower lstrip ord pop popitem
  remove replace reverse rstrip setdefault sorted split splitlines startswith str strip title update upper values warn Delete chr hash isalnum isalpha isdigit isspace
  percentFormat rfind)";

constexpr const char* kNamespaced = R"(
  prim.NumToTensor prim.RaiseException prim.dtype prim.device prim.layout prim.is_cuda prim.is_cpu prim.is_sparse prim.is_sparse_csr prim.is_mkldnn prim.is_quantized prim.is_nested
  prim.is_meta prim.is_xla prim.is_mps prim.is_xpu prim.requires_grad prim.itemsize prim.nbytes prim.min prim.max prim.abs prim.rangelist prim.tolist prim.data prim.unchecked_unwrap_optional
  prim.unchecked_cast prim.TupleIndex prim.TupleUnpack prim.Uninitialized prim.EnumName prim.EnumValue prim.ModuleContainerIndex prim.is_vulkan prim.is_maia prim.is_mtia prim.is_ipu
  prim.isinstance prim.name prim.StringIndex prim.shape prim.type)";

constexpr const char* kBuiltins = R"(
  annotate unchecked_cast uninitialized inf nan infj nanj int float bool str complex number Tensor List Dict Tuple Optional Union Any NoneType Device Final Future tuple list dict
  len range enumerate zip min max abs sum all any round divmod sorted reversed isinstance hasattr ord chr hash rangelist Module NamedTuple Enum Scalar Number Generator Layout
  ScalarType MemoryFormat QScheme Dimname)";

constexpr const char* kNodes = R"(
  prim::Constant prim::If prim::Loop prim::GetAttr prim::SetAttr prim::CallMethod prim::CallFunction prim::CreateObject prim::ListConstruct prim::ListUnpack prim::DictConstruct
  prim::TupleConstruct prim::TupleUnpack prim::TupleIndex prim::TupleSlice prim::Uninitialized prim::unchecked_cast prim::unchecked_unwrap_optional prim::RaiseException
  prim::NumToTensor prim::isinstance prim::tolist prim::Return prim::Param prim::Enter prim::Exit
  prim::dtype prim::device prim::layout prim::data prim::requires_grad prim::is_cuda prim::is_cpu prim::is_sparse prim::is_sparse_csr prim::is_mkldnn prim::is_quantized prim::is_nested
  prim::is_meta prim::is_xla prim::is_mps prim::is_xpu prim::is_vulkan prim::is_maia prim::is_mtia prim::is_ipu prim::itemsize prim::nbytes prim::min prim::max prim::abs
  prim::rangelist prim::EnumName prim::EnumValue prim::ModuleContainerIndex prim::StringIndex prim::index prim::name prim::type)";

void add(Names& names, const char* family) {
  std::istringstream words(family);
  for (std::string word; words >> word;) {
    if (word.back() == '*') {
      word.back() = '_';
      names.insert(word);
      word.pop_back();
    }
    names.insert(word);
  }
}

Names gather(std::initializer_list<const char*> families) {
  Names names;
  for (const char* family : families) add(names, family);
  return names;
}

}  // namespace

bool allowed_operator(const std::string& name) {
  static const Names names =
      gather({kArithmetic, kComparison, kReduction, kMatrix, kLayers, kLosses, kShape, kIndexing, kCreation, kSpectral, kTypes, kContainers});
  return names.count(name) != 0;
}

bool allowed_in_namespace(const std::string& name) {
  static const Names names = gather({kNamespaced});
  return names.count(name) != 0 || (name.compare(0, 5, "aten.") == 0 && allowed_operator(name.substr(5)));
}

bool allowed_builtin(const std::string& name) {
  static const Names names = gather({kBuiltins});
  return names.count(name) != 0;
}

bool allowed_root(const std::string& name) { return name == "torch" || name == "ops" || name == "__torch__" || name == "CONSTANTS"; }

bool allowed_node(const std::string& kind) {
  static const Names names = gather({kNodes});
  return names.count(kind) != 0 || (kind.compare(0, 6, "aten::") == 0 && allowed_operator(kind.substr(6)));
}

}  // namespace sluice
