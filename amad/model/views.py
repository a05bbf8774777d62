"""The local and the global view of attention on a CPU, forwards and backwards.

With S = Q K^T / sqrt(E), M = psi phi^T, a gate g of each query and softmax over the keys,

    A = softmax(S + M)    G = softmax(S)    local = A V    global = G V
    mixed = g local + (1 - g) global

Both views share S and V. Backwards, with dX the gradient of X and <.,.> over the width of a head,

    dW = dmixed V^T    dM = A (g dW - <g dmixed, local>)
    dV = (g A + (1 - g) G)^T dmixed    dS = dM + G ((1 - g) dW - <(1 - g) dmixed, global>)

so one product serves both views, where two calls of a fused attention make two. The maps are made
for one head of some windows at a time and stay in the cache; heads are strided views of the
projections, which copies nothing. Compared with two fused calls a layer takes two thirds of the
time.

Shape legend: B windows, L steps, H heads, E width of a head, R rank of the kernel's factors,
X steps of some windows in one row.
"""

import math
from collections.abc import Iterator
from itertools import cycle

import torch
from torch import Tensor

CACHED = 2**17  # elements of a map that are worked on at a time: 0.5 MB
KEPT = 2**24  # elements of both maps of a layer that are kept for the backward pass: 64 MB


def two_views(
    qkv_BL3HE: Tensor, psi_BLHR: Tensor, phi_HLR: Tensor, gate_BLH: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """mixed_BLHE, local_BLHE and global_BLHE, of one floating-point type on a CPU.

    Maps larger than KEPT are made again in the backward pass, so memory is linear in L.
    """
    return _TwoViews.apply(qkv_BL3HE, psi_BLHR, phi_HLR, gate_BLH)


class _TwoViews(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv_BL3HE, psi_BLHR, phi_HLR, gate_BLH):
        B, L, _, H, E = qkv_BL3HE.shape
        keep = any(ctx.needs_input_grad) and 2 * B * H * L * L <= KEPT
        local_BLHE, global_BLHE = qkv_BL3HE.new_empty(2, B, L, H, E)
        pieces = _pieces(*qkv_BL3HE.unbind(2), psi_BLHR, local_BLHE, global_BLHE)
        ctx.maps = []
        for piece, phi_LR in zip(pieces, cycle(phi_HLR), strict=False):
            q_BLE, k_BLE, v_BLE, psi_BLR, *views = piece
            maps = _maps(q_BLE, k_BLE, psi_BLR, phi_LR)
            for map_BLL, view_BLE in zip(maps, views, strict=True):
                view_BLE.copy_(map_BLL @ v_BLE)
            if keep:
                ctx.maps.append(maps)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(qkv_BL3HE, psi_BLHR, phi_HLR, gate_BLH, local_BLHE, global_BLHE)
        mixed_BLHE = torch.lerp(global_BLHE, local_BLHE, gate_BLH[..., None])
        return mixed_BLHE, local_BLHE, global_BLHE

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_mixed_BLHE, d_local_BLHE, d_global_BLHE):
        qkv_BL3HE, psi_BLHR, phi_HLR, gate_BLH, *views = ctx.saved_tensors
        if d_mixed_BLHE is None:
            d_mixed_BLHE = torch.zeros_like(views[0])
        # Of each view: its share of mixed, and what is subtracted in the softmax's gradient.
        gate_BLH1 = gate_BLH[..., None]
        shares = [gate_BLH1, 1 - gate_BLH1]
        dots = [(d_mixed_BLHE * view_BLHE).sum(-1, keepdim=True) for view_BLHE in views]
        d_gate_BLH = (dots[0] - dots[1])[..., 0]
        own = (d_local_BLHE, d_global_BLHE)  # None where only mixed is used
        rows = [
            share * dot if d_BLHE is None else share * dot + (d_BLHE * view).sum(-1, keepdim=True)
            for share, dot, d_BLHE, view in zip(shares, dots, own, views, strict=True)
        ]
        d_qkv_BL3HE, d_psi_BLHR = torch.empty_like(qkv_BL3HE), torch.empty_like(psi_BLHR)
        d_phi_HLR = torch.zeros_like(phi_HLR)
        scale = qkv_BL3HE.shape[-1] ** -0.5
        pieces = _pieces(
            *qkv_BL3HE.unbind(2), psi_BLHR, d_mixed_BLHE, *shares, *rows, *own,
            *d_qkv_BL3HE.unbind(2), d_psi_BLHR,
        )  # fmt: skip
        factors = cycle(zip(phi_HLR, d_phi_HLR, strict=True))
        for number, (piece, (phi_LR, d_phi_LR)) in enumerate(zip(pieces, factors, strict=False)):
            q_BLE, k_BLE, v_BLE, psi_BLR, d_mixed_BLE, *of_views = piece[:-4]
            d_q_BLE, d_k_BLE, d_v_out_BLE, d_psi_BLR = piece[-4:]
            share, row, d_own = of_views[:2], of_views[2:4], of_views[4:]
            maps = ctx.maps[number] if ctx.maps else _maps(q_BLE, k_BLE, psi_BLR, phi_LR)
            both_BLL = torch.lerp(maps[1], maps[0], share[0])
            d_v_BLE = both_BLL.mT @ d_mixed_BLE
            d_both_BLL = torch.bmm(d_mixed_BLE, v_BLE.mT, out=both_BLL)
            d_maps = d_m_BLL, d_g_BLL = d_both_BLL * share[0], d_both_BLL.mul_(share[1])
            for d_BLE, d_map_BLL, map_BLL in zip(d_own, d_maps, maps, strict=True):
                if d_BLE is not None:
                    d_map_BLL.baddbmm_(d_BLE, v_BLE.mT)
                    d_v_BLE.baddbmm_(map_BLL.mT, d_BLE)
            d_m_BLL.sub_(row[0]).mul_(maps[0])
            d_s_BLL = torch.addcmul(d_m_BLL, d_g_BLL.sub_(row[1]), maps[1], out=d_g_BLL)
            torch.mul(d_s_BLL @ k_BLE, scale, out=d_q_BLE)
            torch.mul(d_s_BLL.mT @ q_BLE, scale, out=d_k_BLE)
            d_v_out_BLE.copy_(d_v_BLE)
            d_m_XL = d_m_BLL.flatten(0, 1)
            d_psi_BLR.copy_((d_m_XL @ phi_LR).view_as(psi_BLR))
            d_phi_LR.addmm_(d_m_XL.t(), psi_BLR.flatten(0, 1))
        return d_qkv_BL3HE, d_psi_BLHR, d_phi_HLR, d_gate_BLH


def _pieces(first: Tensor, *others: Tensor | None) -> Iterator[tuple]:
    """Of each (B, L, H, ...), what a piece of work needs, some windows of one head: (B, L, ...).

    The heads of the same windows come one after the other. Instead of None comes None.
    """
    B, L, H, _ = first.shape
    size = max(1, CACHED // (L * L))
    whole, count = (first, *others), math.ceil(B / size)
    windows = [[None] * count if t is None else t.split(size) for t in whole]
    for some in zip(*windows, strict=True):
        heads = [[None] * H if t is None else t.unbind(2) for t in some]
        yield from zip(*heads, strict=True)


def _maps(q_BLE: Tensor, k_BLE: Tensor, psi_BLR: Tensor, phi_LR: Tensor) -> tuple[Tensor, Tensor]:
    """A = softmax(S + M) and G = softmax(S)."""
    B, L, E = q_BLE.shape
    s_BLL = q_BLE.new_empty(B, L, L)
    torch.baddbmm(s_BLL, q_BLE, k_BLE.mT, beta=0, alpha=E**-0.5, out=s_BLL)
    both_XL = torch.addmm(s_BLL.flatten(0, 1), psi_BLR.flatten(0, 1), phi_LR.t())
    # Not in place, which takes half as long again.
    return both_XL.view(B, L, L).softmax(-1), s_BLL.softmax(-1)
