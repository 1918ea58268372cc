"""Products of float16 rows with a probe's weights at the pace at which a core reads memory.

No library has them: BLAS wants float32, which is a second pass over 1.5 kB for each cell, and is slow where one side
has only some columns. So the loop is written for LLVM, which llvmlite turns into the processor's own instructions
in 20 ms: rows are converted in registers, and memory is asked for rows ahead of their turn. Where the
processor lacks what it takes, `scan` uses numpy.
"""

import ctypes
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labeling.pool import Singles

_COLUMNS = 10
"""At most that are done together: more are equal groups, each of which converts the rows again."""
_SUMS = {8: 12, 16: 24}
"""That are held in registers, by lanes: with weights and rows they fit into the 16 of AVX2 and the 32 of AVX-512."""
_AHEAD = 12_288
"""Bytes from the row in hand to the one that is asked for."""
_BLOCK_ROWS = 512
"""Rows for which all columns are done before the next: they stay in a core's second cache."""

_HEAD = """
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <{lanes} x float> @llvm.fmuladd.v{lanes}f32(<{lanes} x float>, <{lanes} x float>, <{lanes} x float>)
declare float @llvm.vector.reduce.fadd.v{lanes}f32(float, <{lanes} x float>)
"""
_FUNCTION = """
define void @rows{rows}(ptr noalias %x, ptr noalias %w, ptr noalias %out, i64 %count, i64 %width, i64 %padded,
                        i64 %stride) {{
entry:
  %last = sub i64 %width, {lanes}
  br label %row
row:
  %i = phi i64 [0, %entry], [%i_next, %done]
  {starts}
  br label %step
step:
  %j = phi i64 [0, %row], [%j_next, %step]
  {sums}
  ; The last step looks at the last numbers of the row; weights of those that were counted before are zero.
  %at = call i64 @llvm.umin.i64(i64 %j, i64 %last)
  {numbers}
  {weights}
  {products}
  %j_next = add i64 %j, {lanes}
  %more = icmp ult i64 %j_next, %padded
  br i1 %more, label %step, label %done
done:
  {ends}
  %i_next = add i64 %i, {rows}
  %again = icmp ult i64 %i_next, %count
  br i1 %again, label %row, label %finish
finish:
  ret void
}}
"""
_START = """
  %i{r} = add i64 %i, {r}
  %from{r} = mul i64 %i{r}, %width
  %x{r} = getelementptr half, ptr %x, i64 %from{r}"""
_NUMBERS = """
  %xj{r} = getelementptr half, ptr %x{r}, i64 %at
  %ahead{r} = getelementptr i8, ptr %xj{r}, i64 {ahead}
  call void @llvm.prefetch.p0(ptr %ahead{r}, i32 0, i32 3, i32 1)
  %half{r} = load <{lanes} x half>, ptr %xj{r}, align 2
  %number{r} = fpext <{lanes} x half> %half{r} to <{lanes} x float>"""
_WEIGHTS = """
  %down{c} = mul i64 %padded, {c}
  %from_w{c} = add i64 %down{c}, %j
  %wj{c} = getelementptr float, ptr %w, i64 %from_w{c}
  %weight{c} = load <{lanes} x float>, ptr %wj{c}, align 4"""
_SUM = """
  %sum{r}_{c} = phi <{lanes} x float> [zeroinitializer, %row], [%next{r}_{c}, %step]"""
_PRODUCT = """
  %next{r}_{c} = call <{lanes} x float> @llvm.fmuladd.v{lanes}f32(<{lanes} x float> %number{r},
    <{lanes} x float> %weight{c}, <{lanes} x float> %sum{r}_{c})"""
_END = """
  %total{r}_{c} = call reassoc float @llvm.vector.reduce.fadd.v{lanes}f32(float 0.0, <{lanes} x float> %next{r}_{c})
  %column{r}_{c} = mul i64 %stride, {c}
  %to{r}_{c} = add i64 %column{r}_{c}, %i{r}
  %out{r}_{c} = getelementptr float, ptr %out, i64 %to{r}_{c}
  store float %total{r}_{c}, ptr %out{r}_{c}, align 4"""


class Products:
    """The products of one set of weights; from `products_of`.

    Args:
        weights: Shape (d, columns).
        lanes: Numbers in a register.
    """

    def __init__(self, weights: Singles, lanes: int) -> None:
        self._width, columns = weights.shape
        self._padded = -(-self._width // lanes) * lanes
        laid = np.zeros((columns, self._padded), np.float32)
        whole = self._width // lanes * lanes
        laid[:, :whole] = weights[:whole].T
        if whole < self._width:
            laid[:, self._padded - (self._width - whole) :] = weights[whole:].T
        size = -(-columns // -(-columns // _COLUMNS))
        self._groups = [(low, np.ascontiguousarray(laid[low : low + size])) for low in range(0, columns, size)]
        self._compiled = [_compiled(len(group), lanes) for _, group in self._groups]

    def multiply(self, rows: NDArray[np.float16], out: Singles) -> None:
        """Write rows, shape (n, d), times the weights to `out`, shape (columns, n), contiguous."""
        rows = np.ascontiguousarray(rows)
        block = len(rows) if len(self._groups) == 1 else _BLOCK_ROWS
        for start in range(0, len(rows), block):
            count = min(block, len(rows) - start)
            for (low, group), compiled in zip(self._groups, self._compiled, strict=True):
                done = 0
                for step, function in compiled.items():
                    part = (count - done) // step * step
                    if part:
                        function(
                            rows.ctypes.data + (start + done) * 2 * self._width, group.ctypes.data,
                            out.ctypes.data + 4 * (low * out.shape[1] + start + done),
                            part, self._width, self._padded, out.shape[1],
                        )  # fmt: skip
                    done += part


def products_of(weights: Singles) -> Products | None:
    """Make ready for weights of shape (d, columns); None where the processor or d, below a register, is not for it."""
    lanes = _lanes()
    return None if not lanes or len(weights) < lanes else Products(weights, lanes)


@functools.cache
def _lanes() -> int:
    """Return how many float32 numbers a register takes; 0 where compiled code may not run or has nothing to gain."""
    from llvmlite import binding

    try:
        # Where nothing written may run (systemd's MemoryDenyWriteExecute, SELinux' execmem), LLVM hands out functions
        # all the same, and the first call would end the process.
        binding.check_jit_execution()
        features = binding.get_host_cpu_features()
    except (OSError, RuntimeError):  # the second: a processor of which LLVM cannot tell
        return 0
    if not features.get("f16c") or not features.get("fma"):
        return 0
    return 16 if features.get("avx512f") else 8


@functools.cache
def _compiled(columns: int, lanes: int) -> dict[int, Callable[..., None]]:
    """Compile for so many columns: the function for some rows at a time, and the one for what is left over."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(_source(columns, lanes)), target)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 4)
    functions: dict[int, Callable[..., None]] = {}
    for rows in _at_once(columns, lanes):
        functions[rows] = kind(engine.get_function_address(f"rows{rows}"))
    _engines.append(engine)
    return functions


_engines: list[object] = []
"""They own the compiled functions."""


def _at_once(columns: int, lanes: int) -> list[int]:
    """Return for how many rows at a time there is a function, the largest first."""
    return sorted({max(1, _SUMS[lanes] // max(columns, 6)), 1}, reverse=True)


def _source(columns: int, lanes: int) -> str:
    return _HEAD.format(lanes=lanes) + "".join(_function(rows, columns, lanes) for rows in _at_once(columns, lanes))


def _function(rows: int, columns: int, lanes: int) -> str:
    def each(template: str, rows: int = 1, columns: int = 1) -> str:
        return "".join(
            template.format(r=r, c=c, lanes=lanes, ahead=_AHEAD) for r in range(rows) for c in range(columns)
        )

    return _FUNCTION.format(
        rows=rows, lanes=lanes, starts=each(_START, rows), numbers=each(_NUMBERS, rows),
        weights=each(_WEIGHTS, columns=columns), sums=each(_SUM, rows, columns),
        products=each(_PRODUCT, rows, columns), ends=each(_END, rows, columns),
    )  # fmt: skip
