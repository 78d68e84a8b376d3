"""Which source, class and compile-time variant serves which op.

Rules look at what a version contains (files, classes, the parameters of a function), not at its number, so that a
checkout or an edited copy is mapped like the release it descends from. A rule returns the modules to build, or raises
`NotMapped` with the reason. `InTriton` is the reason of an op that upstream does not write in CUDA C++.
"""

import re
from dataclasses import dataclass, field, replace

from .edits import without_comments
from .torch_calls import LINEAR_OF_FLOATS, MM_FLOAT


class NotMapped(Exception):
    """The op cannot be found in this version."""


class InTriton(NotMapped):
    """Upstream has the op, but not in CUDA C++."""

    def __init__(self, function: str, path: str):
        super().__init__(f"upstream writes it in Triton ({function} in {path}), so there is no CUDA source to build")


@dataclass
class Entry:
    """One function of a module, and the op that it serves."""

    op: str
    function: str
    target: str  # C++ expression of the function
    abi: str
    arity: int
    params: dict = field(default_factory=dict)  # the compile-time variant that it is
    behaviour: list = field(default_factory=list)  # what it computes otherwise than others of the same ABI (docs/sets.md)


@dataclass
class Module:
    name: str
    source: str  # relative to the package's kernel folder
    params: dict
    entries: list
    defines: list = field(default_factory=list)
    fast_math: bool = False
    host_flags: list = field(default_factory=list)
    variants: list = field(default_factory=list)  # of a module that joins several
    torch: str = ""  # the call of LibTorch that the module makes, if upstream writes the op in Python (torch_calls.py)


PDL = "true"  # what upstream passes on sm_90 and later


def need(source, path: str, pattern: str = "", what: str = "") -> str:
    """The text of `path`, if it is there and contains `pattern`."""
    text = source.text(path)
    if not text:
        raise NotMapped(f"no {path}")
    if pattern and not re.search(pattern, text):
        raise NotMapped(f"{path} has no {what or pattern}")
    return text


def first_present(source, *paths: str) -> str:
    for path in paths:
        if source.has(path):
            return path
    raise NotMapped("none of " + ", ".join(paths))


def template_arity(text: str, name: str) -> int:
    """Number of template parameters of `struct name`."""
    found = re.search(r"template\s*<([^<>]*)>\s*struct\s+" + name + r"\b", text)
    if not found:
        raise NotMapped(f"no class template {name}")
    return found.group(1).count(",") + 1


def parameter_count(text: str, function: str) -> int:
    """Number of parameters in the definition of `function`."""
    for found in re.finditer(r"\b" + function + r"\s*\(([^;{}]*?)\)\s*(?:noexcept\s*)?(?:->[^{;]*)?\{", text):
        body = re.sub(r"//[^\n]*", "", found.group(1))
        body = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", body))
        if body.strip():
            return body.count(",") + 1
    raise NotMapped(f"no definition of {function}")


def expect_arity(text: str, function: str, known: dict) -> tuple:
    """(arity, ABI number) of `function`, out of the signatures that op definitions know."""
    arity = parameter_count(text, function)
    if arity not in known:
        raise NotMapped(f"{function} has {arity} parameters; known: {', '.join(map(str, known))}")
    return arity, known[arity]


def expect_method(text: str, name: str, function: str, known: dict) -> tuple:
    """The same for a function of `struct name`. Other structs of the file may have one of the same name."""
    return expect_arity(text[text.index(f"struct {name}"):], function, known)


def one(op, function, target, abi_number, arity, behaviour=()) -> list:
    return [Entry(op, function, target, f"{op}/{abi_number}", arity, behaviour=list(behaviour))]


def kernels(text: str, name: str) -> list:
    """The bodies of the kernels whose name matches `name`, without comments."""
    text = without_comments(text)
    bodies = []
    for found in re.finditer(r"__global__[^;{}]*?\b" + name + r"\s*\([^;{}]*\)\s*\{", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        bodies.append(text[found.end() : end - 1])
    return bodies


# --- the rules ------------------------------------------------------------------------------------------------------


def topk_v1(source):
    modules = []
    for k in (512, 1024):
        params, name = {"k": str(k)}, f"topk_v1_k{k}"
        if source.has("csrc/deepseek_v4/topk_v1.cuh"):
            path = "csrc/deepseek_v4/topk_v1.cuh"
            text = need(source, path, r"struct TopKKernel\b", "TopKKernel")
            target = f"TopKKernel<{PDL}>::transform"
            # Later releases take k from the output's width, and one build serves every k.
            defines = [f"-DSGL_TOPK={k}"] if re.search(r"^[^/\n]*\bSGL_TOPK\b", text, re.MULTILINE) else []
        else:  # one file and class for each k
            path = first_present(source, f"csrc/deepseek_v4/topk{'' if k == 512 else '_1024'}.cuh")
            text = need(source, path, rf"struct TopK{k}Kernel\b", f"TopK{k}Kernel")
            target, defines = f"TopK{k}Kernel<{PDL}>::transform", []
        arity, abi = expect_arity(text, "transform", {6: 1})
        modules.append(Module(name, path, params, one("topk_v1", "topk_transform", target, abi, arity), defines))
    return modules


def topk_v2(source):
    """Selection and planner. The planner is the same in both builds, so it is taken from the first."""
    path, name = "csrc/deepseek_v4/topk_v2.cuh", "CombinedTopKKernel"
    text = need(source, path, rf"struct {name}\b", name)
    modules = []
    for k in (512, 1024):
        arity, abi = expect_method(text, name, "transform", {7: 1})
        entries = one("topk_v2", "topk_transform", f"{name}::transform", abi, arity)
        modules.append(Module(f"topk_v2_k{k}", path, {"k": str(k)}, entries, [f"-DSGL_TOPK={k}"]))
    arity, abi = expect_method(text, name, "plan", {3: 1})
    entries = one("plan_topk_v2", "topk_plan", f"{name}::plan", abi, arity)
    return [*modules, Module("plan_topk_v2", path, {}, entries, ["-DSGL_TOPK=512"])]


def hash_topk(source):
    path = "csrc/deepseek_v4/hash_topk.cuh"
    text = need(source, path, r"struct HashTopKKernel\b", "HashTopKKernel")
    need(source, path, r"\bact_sqrt_softplus\b", "act_sqrt_softplus")
    arity, abi = expect_method(text, "HashTopKKernel", "run", {6: 1})
    target = f"HashTopKKernel<act_sqrt_softplus, {PDL}>::run"
    return [Module("hash_topk", path, {}, one("hash_topk", "hash_topk", target, abi, arity, divisor(text)))]


def divisor(text: str) -> list:
    """`divisor_<e>` if a constant is added to the sum by which the weights of a token are divided."""
    text = without_comments(text)
    added = re.search(r"\brouted_weight\s*/\s*\(\s*routed_sum\s*\+\s*([\w.+-]+)\s*\)", text)
    if not added:
        return []
    constant = re.search(rf"\bconstexpr\s+float\s+{re.escape(added.group(1))}\s*=\s*([\w.+-]+)\s*;", text)
    return ["divisor_" + (constant or added).group(1).rstrip("fF")]


def mask_topk_ids(source):
    path = "csrc/deepseek_v4/hash_topk.cuh"
    text = need(source, path, r"struct MaskKernel\b", "MaskKernel")
    arity, abi = expect_method(text, "MaskKernel", "run", {2: 1})
    return [Module("mask_topk_ids", path, {}, one("mask_topk_ids", "run", "MaskKernel::run", abi, arity))]


def paged_mqa_logits_metadata(source):
    path = "csrc/deepseek_v4/paged_mqa_metadata.cuh"
    text = need(source, path, r"struct IndexerMetadataKernel\b", "IndexerMetadataKernel")
    # A release with a third parameter, a workspace, divides the work otherwise.
    arity, abi = expect_method(text, "IndexerMetadataKernel", "run", {2: 1})
    entries = one("paged_mqa_logits_metadata", "run", "IndexerMetadataKernel::run", abi, arity)
    return [Module("paged_mqa_logits_metadata", path, {}, entries)]


def fused_rope(source):
    path = "csrc/deepseek_v4/rope.cuh"
    text = need(source, path, r"struct FusedQKRopeKernel\b", "FusedQKRopeKernel")
    arity, abi = expect_arity(text, "forward", {5: 1})
    target = f"FusedQKRopeKernel<{PDL}>::forward"
    # nvcc fuses products and sums here; with these flags g++ fuses the same ones, and the bits agree.
    return [Module("fused_rope", path, {}, one("fused_rope", "forward", target, abi, arity), host_flags=["@fma"])]


def rmsnorm_head(source):
    path, name = "csrc/deepseek_v4/rmsnorm.cuh", "RMSNormKernel"
    text = need(source, path, rf"struct {name}\b", name)
    arity, abi = expect_method(text, name, "run_self", {3: 1})
    return [
        Module(f"rmsnorm_head_{dim}", path, {"head_dim": str(dim)},
               one("rmsnorm_head", "run_self", f"{name}<{dim}, bf16_t, {PDL}>::run_self", abi, arity))
        for dim in (256, 512)
    ]  # fmt: skip


def q_norm_rope(source):
    path, name = "csrc/deepseek_v4/main_norm_rope.cuh", "FusedQNormRopeKernel"
    text = need(source, path, rf"struct {name}\b", name)
    # A later release can also rotate without the norm.
    norm = {4: "", 5: "true, "}.get(template_arity(text, name))
    if norm is None or (norm and not re.search(r"\bbool\s+kApplyNorm\b", text)):
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 4, and 5 with kApplyNorm")
    arity, abi = expect_method(text, name, "forward", {5: 1})
    target = f"{name}<bf16_t, 512, 64, {norm}{PDL}>::forward"
    # As in fused_rope, the bits are those of nvcc.
    return [Module("q_norm_rope", path, {}, one("q_norm_rope", "forward", target, abi, arity), host_flags=["@fma"])]


NORM_ROPE = "csrc/deepseek_v4/fused_norm_rope.cuh"  # one function with three modes, each of which is an op


def norm_rope_variant(source, name: str, types: str, params: dict, functions: dict) -> Module:
    """`functions` has the function of the module that serves each op."""
    kernel = "FusedNormRopeKernel"
    arity, abi = expect_method(need(source, NORM_ROPE, rf"struct {kernel}\b", kernel), kernel, "forward", {7: 1})
    entries = []
    for op, function in functions.items():
        entries += one(op, function, f"{kernel}<{types}, 64, {PDL}>::forward", abi, arity)
    # As in fused_rope, the bits are those of nvcc.
    return Module(name, NORM_ROPE, params, entries, host_flags=["@fma"])


def norm_rope(source):
    need(source, NORM_ROPE, r"\bDefaultForward\s*=\s*2\b", "a mode 2 with a position for each row")
    return [norm_rope_variant(source, "norm_rope", "bf16_t, 512", {}, {"norm_rope": "forward"})]


def compress_norm_rope_v1(source):
    need(source, NORM_ROPE, r"\bCompressExtend\s*=\s*0\b", "a mode 0 with a plan")
    need(source, NORM_ROPE, r"\bCompressDecode\s*=\s*1\b", "a mode 1 with a length for each row")
    need(source, NORM_ROPE, r"\bragged_id\s*\*\s*kHeadDim\b", "rows that the plan names by ragged_id")
    functions = {"compress_norm_rope_prefill_v1": "extend", "compress_norm_rope_decode_v1": "decode"}
    return [
        norm_rope_variant(source, f"compress_norm_rope_v1_h{dim}", f"fp32_t, {dim}", {"head_dim": str(dim)}, functions)
        for dim in (128, 512)
    ]


def layout_argument(text: str, name: str, plain: int) -> str:
    """The template argument for the FlashMLA layout, with a comma, if the class has a parameter for it.

    `plain` is the number of template parameters without it.
    """
    arity = template_arity(text, name)
    if arity == plain:
        return ""
    # The type as the template spells it is the name that is in scope where the wrapper is, too.
    found = re.search(r"template\s*<[^<>]*?\b((?:\w+::)*KVLayout)\s+\w+[^<>]*>\s*struct\s+" + name, text)
    if not found or arity != plain + 1:
        raise NotMapped(f"{name} has {arity} template parameters; known: {plain}, and {plain + 1} with KVLayout")
    return f"{found.group(1)}::V4, "


def k_norm_rope_flashmla(source):
    path, name = "csrc/deepseek_v4/main_norm_rope.cuh", "FusedKNormRopeFlashMLAKernel"
    text = need(source, path, rf"struct {name}\b", name)
    layout = layout_argument(text, name, 5)
    arity, abi = expect_method(text, name, "forward", {7: 1})
    return [
        Module(f"k_norm_rope_flashmla_p{page}", path, {"layout": "flashmla", "page": str(page)},
               one("k_norm_rope_flashmla", "forward", f"{name}<bf16_t, 512, 64, {page}, {layout}{PDL}>::forward", abi, arity),
               host_flags=["@fma"])
        for page in (1, 64, 256)
    ]  # fmt: skip


def indexer_queries(source, op: str, name: str, known_arity: int) -> list:
    """An op that rotates, transforms and quantises the queries of the indexer."""
    path = "csrc/deepseek_v4/main_norm_rope.cuh"
    text = need(source, path, rf"struct {name}\b", name)
    # A later release can also rotate the first elements, or leave out the transform.
    if template_arity(text, name) == 2:
        more = ""
    elif re.search(rf"\bbool\s+kRopeFirst\b[^<>]*\bbool\s+kHadamard\b[^<>]*>\s*struct\s+{name}\b", text):
        more = ", false, true"
    else:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 2, and 4 with kHadamard")
    arity, abi = expect_method(text, name, "forward", {known_arity: 1})
    target = f"{name}<bf16_t, {PDL}{more}>::forward"
    # As in fused_rope, the bits are those of nvcc.
    return [Module(op, path, {}, one(op, "forward", target, abi, arity), host_flags=["@fma"])]


def q_indexer_rope_hadamard_quant(source):
    return indexer_queries(source, "q_indexer_rope_hadamard_quant", "FusedQIndexerRopeHadamardQuantKernel", 7)


def q_indexer_rope_hadamard_fp4_quant(source):
    return indexer_queries(source, "q_indexer_rope_hadamard_fp4_quant", "FusedQIndexerRopeHadamardFp4QuantKernel", 8)
def compress_norm_rope_store(source):
    path, name = "csrc/deepseek_v4/fused_norm_rope_v2.cuh", "FusedNormRopeKernel"
    text = need(source, path, rf"struct {name}\b", name)
    if template_arity(text, name) != 5:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 5")
    arity, abi = expect_method(text, name, "forward", {9: 1})
    # A later release takes slots of 64 bits, and then the signature is another one.
    if not re.search(r"\bint32_t\s*\*\s*(?:__restrict__\s+)?out_loc\b", text):
        raise NotMapped(f"{name} takes slots that are not int32")
    layouts = [("flashmla", 512, "forward", unrounded_codes(text)), ("indexer", 128, "forward", [])]
    if re.search(r"\bforward_fp4\s*\(", text):  # E2M1 codes, since release 0.5.13
        layouts.append(("indexer_fp4", 128, "forward_fp4", []))
    modules = []
    for layout, dim, method, behaviour in layouts:
        for page in (2, 64):
            target = f"{name}<fp32_t, {dim}, 64, {page}, {PDL}>::{method}"
            entries = one("compress_norm_rope_store", "forward", target, abi, arity, behaviour)
            modules.append(Module(f"compress_norm_rope_store_{layout}_p{page}", path,
                                  {"layout": layout, "page": str(page)}, entries, host_flags=["@fma"]))  # fmt: skip
    return modules


def unrounded_codes(text: str) -> list:
    """`unrounded_codes` if the kernel of the FlashMLA layout does not round to bfloat16 before it quantises."""
    body = "".join(kernels(text, "fused_norm_rope_flashmla"))
    return [] if re.search(r"cast<float>\s*\(\s*cast<bf16_t>", body) else ["unrounded_codes"]


def fused_store_cache(source):
    path = "csrc/deepseek_v4/store.cuh"
    modules = []
    for layout, cls, pages in (("flashmla", "FlashMLA", (1, 2, 64, 256)), ("indexer", "Indexer", (1, 64))):
        name = f"FusedStoreCache{cls}Kernel"
        text = need(source, path, rf"struct {name}\b", name)
        extra = layout_argument(text, name, 4)
        arity, abi = expect_method(text, name, "run", {3: 1})
        for input_name, input_type in (("bf16", "bf16_t"), ("f32", "fp32_t")):
            for index_name, index_type in (("i32", "int32_t"), ("i64", "int64_t")):
                for page in pages:
                    target = f"{name}<{input_type}, {index_type}, {page}, {extra}{PDL}>::run"
                    params = {"layout": layout, "input": input_name, "index": index_name, "page": str(page)}
                    modules.append(
                        Module(
                            f"fused_store_cache_{layout}_{input_name}_{index_name}_p{page}",
                            path,
                            params,
                            one("fused_store_cache", "run", target, abi, arity),
                        )
                    )
    return modules


def mega_moe_pre_dispatch(source):
    path = "csrc/deepseek_v4/mega_moe_pre_dispatch.cuh"
    name = "MegaMoEPreDispatchKernel"
    text = need(source, path, rf"struct {name}\b", name)
    if template_arity(text, name) != 2:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 2")
    arity, abi = expect_method(text, name, "run", {7: 1})
    # Release 0.5.12 takes the buffer of codes as int8 only, later ones also as E4M3.
    both = re.search(r"\bwith_dtype\s*<\s*int8_t\s*,\s*fp8_e4m3_t\s*>", without_comments(text))
    modules = []
    for group in (32, 64, 128):
        target = f"{name}<{group}, {PDL}>::run"
        params = {"group": str(group)} | ({} if both else {"buffer": "i8"})
        entries = one("mega_moe_pre_dispatch", "run", target, abi, arity)
        modules.append(Module(f"mega_moe_pre_dispatch_g{group}", path, params, entries))
    return modules


SILU = "csrc/deepseek_v4/silu_and_mul_masked_post_quant.cuh"  # also holds the kernels without experts


def silu_and_quantise(source, op: str, name: str, known_arity: int, more: dict) -> list:
    """All variants of an op that quantises silu(gate) * up. `more`: parameters that only this op has."""
    text = need(source, SILU, rf"struct {name}\b", name)
    if template_arity(text, name) != 5:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 5")
    arity, abi = expect_method(text, name, "run", {known_arity: 1})
    modules = []
    for ue8m0 in (0, 1):
        for swizzle in (0, 1):
            for clamp in (0, 1):
                flags = [("false", "true")[bit] for bit in (ue8m0, swizzle)]
                target = f"{name}<128, {flags[0]}, {flags[1]}, {PDL}, {('false', 'true')[clamp]}>::run"
                modules.append(
                    Module(
                        f"{op}_u{ue8m0}_s{swizzle}_c{clamp}",
                        SILU,
                        {"group": "128", "ue8m0": str(ue8m0), "swizzle": str(swizzle), "clamp": str(clamp)} | more,
                        one(op, "run", target, abi, arity),
                        fast_math=True,
                    )
                )
    return modules


def silu_and_mul_masked_post_quant(source):
    op, name = "silu_and_mul_masked_post_quant", "SiluAndMulMaskedPostQuantKernel"
    return silu_and_quantise(source, op, name, 7, {"form": "main"}) + silu_tmp(source, op, name)


def silu_tmp(source, op: str, name: str) -> list:
    """The variants of a second file, which only one release has: it computes otherwise, and has no swizzled variants."""
    path = SILU.replace(".cuh", "_tmp.cuh")
    if not source.has(path):
        return []
    text = need(source, path, rf"struct {name}\b", name)
    if template_arity(text, name) != 4:
        raise NotMapped(f"{name} of {path} has {template_arity(text, name)} template parameters; known: 4")
    arity, abi = expect_method(text, name, "run", {7: 1})
    modules = []
    for ue8m0 in (0, 1):
        for clamp in (0, 1):
            target = f"{name}<128, {('false', 'true')[ue8m0]}, {PDL}, {('false', 'true')[clamp]}>::run"
            params = {"group": "128", "ue8m0": str(ue8m0), "swizzle": "0", "clamp": str(clamp), "form": "tmp"}
            modules.append(Module(f"{op}_tmp_u{ue8m0}_c{clamp}", path, params, one(op, "run", target, abi, arity), fast_math=True))
    return modules


def silu_and_mul_contig_post_quant(source):
    return silu_and_quantise(source, "silu_and_mul_contig_post_quant", "SiluAndMulContigPostQuantKernel", 5, {})


def silu_and_mul_clamp(source):
    name = "SiluAndMulClampKernel"
    text = need(source, SILU, rf"struct {name}\b", name)
    if template_arity(text, name) != 2:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 2")
    arity, abi = expect_method(text, name, "run", {3: 1})
    entries = one("silu_and_mul_clamp", "run", f"{name}<bf16_t, {PDL}>::run", abi, arity)
    return [Module("silu_and_mul_clamp_bf16", SILU, {"dtype": "bf16"}, entries, fast_math=True)]


def plan_compress_prefill(source):
    path = "csrc/deepseek_v4/common.cuh"
    text = need(source, path, r"\bplan_compress_prefill\b", "plan_compress_prefill")
    alias = re.search(r"\bplan_compress_prefill\s*=\s*[\w:]*::(\w+)\s*;", text)
    arity, abi = expect_arity(text, alias.group(1) if alias else "plan_compress_prefill", {7: 1})
    entries = one("plan_compress_prefill", "plan_compress_prefill", "plan_compress_prefill", abi, arity)
    return [Module("compress_plan_v1", path, {}, entries)]


def plans(source):
    """The four planners of `c_plan.cuh`, one module."""
    path = "csrc/deepseek_v4/c_plan.cuh"
    text = need(source, path)
    entries = []
    # A release that also takes `use_req_ring` is the second variant of the first two.
    for op, function, known in (
        ("plan_prefill", "plan_compress_prefill", {11: 1, 12: 2}),
        ("plan_decode", "plan_compress_decode", {7: 1, 8: 2}),
        ("plan_prefill_legacy", "plan_compress_prefill_legacy", {7: 1}),
        ("plan_decode_legacy", "plan_compress_decode_legacy", {3: 1}),
    ):
        arity, abi = expect_arity(text, function, known)
        behaviour = []
        if "legacy" not in op:
            behaviour += request_ring(kernels(text, function + r"_kernel(?:_1)?"))
        if op == "plan_prefill":
            behaviour += ring_pad(text)
        entries += one(op, op, function, abi, arity, behaviour)
    return [Module("compress_plan", path, {}, entries)]


def request_ring(bodies: list) -> list:
    """`c128_request_ring` if at ratio 128 all addresses are those of a ring for each request.

    Else they come from the map to slots of the sliding window, as those of ratio 4 do.
    """
    for body in bodies:
        rings = re.findall(
            r"\b(\w+)\s*=\s*\[[^]]*\]\s*\([^)]*\)\s*\{\s*return\s+static_cast<int32_t>\(\s*"
            r"rid\s*\*\s*params\.ring_size\s*\+\s*position\s*%\s*params\.ring_size\s*\)\s*;\s*\}", body)  # fmt: skip
        branches = re.findall(r"\bif\s*\(\s*params\.compress_ratio\s*==\s*128\b[^{}]*\{([^{}]*)\}", body)
        values = re.findall(r"\b(?:read_page_[01]|write_loc)\s*=\s*(\w+)", "".join(branches))
        if not values or not all(value in rings for value in values):
            return []
    return ["c128_request_ring"] if bodies else []


def ring_pad(text: str) -> list:
    """`write_pad_from_ring` if the rows that are kept for a rollback follow from the size of the ring."""
    pad = r"\bmtp_pad\s*=\s*ring_size\s*>\s*window_size\s*\?\s*ring_size\s*-\s*window_size\s*\+\s*2\s*:\s*0\s*;"
    return ["write_pad_from_ring"] if re.search(pad, without_comments(text)) else []


def compress_offline(source, ratio: int, version: str = "", arities: tuple = (6, 5)) -> list:
    """The compressors of a ratio. Those of V2 plans have no suffix. `arities` are those of prefill and of decode."""
    path = f"csrc/deepseek_v4/c{ratio}{'' if version else '_v2'}.cuh"
    name = f"FlashCompress{ratio}Kernel"
    text = need(source, path, rf"struct {name}\b", name)
    # Later releases name the type of the state buffer apart from that of the input.
    types = {4: "fp32_t, fp32_t", 5: "fp32_t, fp32_t, fp32_t"}.get(template_arity(text, name))
    if types is None:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters")
    modules = []
    for head_dim in (128, 512):
        cls = f"{name}<{head_dim}, {types}, {PDL}>"
        entries = []
        for function, arity in zip(("prefill", "decode"), arities):
            arity, abi = expect_arity(text, f"run_{function}", {arity: 1})
            entries += one(f"compress_c{ratio}_{function}{version}", function, f"{cls}::run_{function}", abi, arity)
        params = {"head_dim": str(head_dim), "dtype": "f32"}
        modules.append(Module(f"compress_c{ratio}{version}_h{head_dim}_f32", path, params, entries, fast_math=True))
    return modules


def compress_c4(source):
    return compress_offline(source, 4)


def compress_c4_v1(source):
    return compress_offline(source, 4, "_v1", (8, 7))


def compress_c128(source):
    return compress_offline(source, 128)


def compress_c128_v1(source):
    return compress_offline(source, 128, "_v1", (8, 7))


C128_ONLINE = "csrc/deepseek_v4/c128_online_v2.cuh"  # planners and compressors


def online_plans(source):
    """The planners of online compression; they get into one module with its compressors."""
    text = need(source, C128_ONLINE)
    # Later releases have planners with as many parameters, which take an offset of the slots and not the cache's page.
    if re.search(r"\bstate_slot_offset\b", without_comments(text)):
        raise NotMapped("the planners take state_slot_offset; known: those that take swa_page_size")
    entries = []
    for op, function, method, target, known in (
        ("plan_prefill_online", "plan_prefill", "plan_online_prefill", "plan_compress_128_online_prefill", {10: 1}),
        ("plan_decode_online", "plan_decode", "plan_online_decode", "plan_compress_128_online_decode", {6: 1}),
    ):
        arity, abi = expect_arity(text, method, known)
        entries += one(op, function, target, abi, arity)
    return [Module("compress_plan_online", C128_ONLINE, {}, entries, fast_math=True)]


def compress_c128_online(source):
    name = "FlashCompress128OnlineKernel"
    text = need(source, C128_ONLINE, rf"struct {name}\b", name)
    # Later releases name the type of the state.
    state = {2: "", 3: "fp32_t, "}.get(template_arity(text, name))
    if state is None:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 2 and 3")
    entries = []
    for op, function, method, known in (
        ("compress_c128_online_prefill", "prefill", "run_prefill", {6: 1}),
        ("compress_c128_online_decode", "decode", "run_decode", {5: 1}),
    ):
        arity, abi = expect_method(text, name, method, known)
        entries += one(op, function, f"{name}<512, {state}{PDL}>::{method}", abi, arity)
    params = {"head_dim": "512", "state": "f32"}
    return [Module("compress_c128_online_h512_f32", C128_ONLINE, params, entries, fast_math=True)]


C128_ONLINE_V1 = "csrc/deepseek_v4/c128_online.cuh"  # planner and compressors


def compress_c128_online_v1(source):
    name = "FlashCompress128OnlineKernel"
    text = need(source, C128_ONLINE_V1, rf"struct {name}\b", name)
    if template_arity(text, name) != 2:
        raise NotMapped(f"{name} has {template_arity(text, name)} template parameters; known: 2")
    entries = []
    for function, known in (("prefill", {8: 1}), ("decode", {7: 1})):
        arity, abi = expect_method(text, name, f"run_{function}", known)
        entries += one(f"compress_c128_online_{function}_v1", function, f"{name}<512, {PDL}>::run_{function}", abi, arity)
    return [Module("compress_c128_online_v1_h512", C128_ONLINE_V1, {"head_dim": "512"}, entries, fast_math=True)]


def plan_compress_online_prefill(source):
    path, name = C128_ONLINE_V1, "plan_compress_online_prefill"
    text = need(source, path, rf"\b{name}\b", name)
    arity, abi = expect_arity(text, "plan_online_prefill", {5: 1})
    return [Module("compress_plan_v1_online", path, {}, one(name, name, name, abi, arity))]


def paged_compress_data(source):
    function = "triton_create_paged_compress_data"
    path = first_present(source, "dsv4/attn.py", "deepseek_v4.py")
    need(source, path, rf"\bdef {function}\b", function)
    raise InTriton(function, path)


def hisparse_transfer(source):
    known = "csrc/deepseek_v4/hisparse_transfer.cuh"
    if source.has(known):  # the destination has no pages
        path, function, target, layout = known, "hisparse_transfer", "hisparse_transfer", "linear"
    else:  # both caches are paged
        path = first_present(source, "csrc/hisparse.cuh", "csrc/kvcacheio/hisparse.cuh")
        function, target, layout = "transfer_cache_dsv4_mla", "transfer_cache_dsv4_mla<1024>", "paged"
    text = need(source, path, rf"\bvoid {function}\b", function)
    arity, abi = expect_arity(text, function, {4: 1})
    entries = one("hisparse_transfer", function, target, abi, arity)
    return [Module(f"hisparse_transfer_{layout}", path, {"destination": layout}, entries)]


def linear_bf16_fp32(source):
    path = first_present(source, "dsv4/gemm.py", "deepseek_v4.py")
    text = need(source, path, r"\bdef linear_bf16_fp32\b", "linear_bf16_fp32")
    # The first release offers its own call of cuBLAS, DeepGEMM, and this call of torch. The call of cuBLAS is source text of
    # an extension that PyTorch compiles when it runs.
    calls = {
        r"\btorch\.mm\(\s*x\s*,\s*y\.t\(\)\s*,\s*out_dtype\s*=\s*torch\.float32\s*\)": MM_FLOAT,
        r"\btorch\.nn\.functional\.linear\(\s*x\.float\(\)\s*,\s*y\.float\(\)\s*\)": LINEAR_OF_FLOATS,
    }
    found = [call for pattern, call in calls.items() if re.search(pattern, text)]
    if not found:
        raise NotMapped(f"linear_bf16_fp32 in {path} makes no known call of torch")
    entries = one("linear_bf16_fp32", "run", "call_torch", 1, 3)
    return [Module("linear_bf16_fp32", path, {}, entries, torch=found[0])]


# Ops and the rule that serves them, in the order of the op table.
RULES = (
    (("topk_v1",), topk_v1),
    (("topk_v2", "plan_topk_v2"), topk_v2),
    (("hash_topk",), hash_topk),
    (("mask_topk_ids",), mask_topk_ids),
    (("paged_mqa_logits_metadata",), paged_mqa_logits_metadata),
    (("fused_rope",), fused_rope),
    (("rmsnorm_head",), rmsnorm_head),
    (("q_norm_rope",), q_norm_rope),
    (("k_norm_rope_flashmla",), k_norm_rope_flashmla),
    (("norm_rope",), norm_rope),
    (("compress_norm_rope_prefill_v1", "compress_norm_rope_decode_v1"), compress_norm_rope_v1),
    (("q_indexer_rope_hadamard_quant",), q_indexer_rope_hadamard_quant),
    (("q_indexer_rope_hadamard_fp4_quant",), q_indexer_rope_hadamard_fp4_quant),
    (("compress_norm_rope_store",), compress_norm_rope_store),
    (("fused_store_cache",), fused_store_cache),
    (("mega_moe_pre_dispatch",), mega_moe_pre_dispatch),
    (("silu_and_mul_masked_post_quant",), silu_and_mul_masked_post_quant),
    (("silu_and_mul_contig_post_quant",), silu_and_mul_contig_post_quant),
    (("silu_and_mul_clamp",), silu_and_mul_clamp),
    (("plan_compress_prefill",), plan_compress_prefill),
    (("plan_prefill", "plan_decode", "plan_prefill_legacy", "plan_decode_legacy"), plans),
    (("compress_c4_prefill", "compress_c4_decode"), compress_c4),
    (("compress_c4_prefill_v1", "compress_c4_decode_v1"), compress_c4_v1),
    (("compress_c128_prefill", "compress_c128_decode"), compress_c128),
    (("compress_c128_prefill_v1", "compress_c128_decode_v1"), compress_c128_v1),
    (("plan_prefill_online", "plan_decode_online"), online_plans),
    (("compress_c128_online_prefill", "compress_c128_online_decode"), compress_c128_online),
    (("compress_c128_online_prefill_v1", "compress_c128_online_decode_v1"), compress_c128_online_v1),
    (("plan_compress_online_prefill",), plan_compress_online_prefill),
    (("paged_compress_data",), paged_compress_data),
    (("hisparse_transfer",), hisparse_transfer),
    (("linear_bf16_fp32",), linear_bf16_fp32),
)


# Variants of one source are compiled together: what they share is read once. More of them would leave a core idle.
MOST_VARIANTS = 8


def together(variants: list) -> list:
    """Modules of variants that have source and flags in common. Functions are named after their variants."""
    groups = {}
    for v in variants:
        groups.setdefault((v.source, tuple(v.defines), v.fast_math, tuple(v.host_flags), v.torch), []).append(v)
    modules = []
    for group in groups.values():
        for first in range(0, len(group), MOST_VARIANTS):
            part = group[first:first + MOST_VARIANTS]
            modules.append(join(part, f"{part[0].name}_and_{len(part) - 1}_more" if len(part) > 1 else part[0].name))
    return modules


def join(variants: list, name: str) -> Module:
    """One module of these variants. A single variant keeps the names of its functions."""
    first = variants[0]
    entries = []
    for v in variants:
        for e in v.entries:
            function = e.function if len(variants) == 1 else f"{v.name}_{e.function}"
            entries.append(replace(e, function=function, params=v.params))
    return Module(name, first.source, {}, entries, first.defines, first.fast_math, first.host_flags, variants, first.torch)


def map_ops(source) -> tuple:
    """(variants, absent): what can be built from `source`, and a record of each op that cannot, with its reason."""
    modules, absent = [], []
    for ops, rule in RULES:
        try:
            modules += rule(source)
        except InTriton as reason:
            absent += [{"op": op, "reason": str(reason)} for op in ops]
        except NotMapped as reason:
            absent += [{"op": op, "reason": f"not mapped: {reason}"} for op in ops]
    return modules, absent
