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

Shape legend: B windows, L steps, N steps that ask (queries), H heads, E width of a head, R rank of
the kernel's factors, J what one projection holds, X queries of some windows in one row.
"""

import math
from collections.abc import Iterator
from itertools import cycle

import torch
from torch import Tensor

CACHED = 2**17  # elements of a map (N x L) that are worked on at a time: 0.5 MB
KEPT = 2**24  # elements of both maps of a layer that are kept for the backward pass: 64 MB


def two_views(
    q_BNHE: Tensor | None, qkv_BLJHE: Tensor, psi_BNHR: Tensor, phi_HLR: Tensor, gate_BNH: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """mixed_BNHE, local_BNHE and global_BNHE, of one floating-point type on a CPU.

    qkv_BLJHE: keys and values (J = 2) where q_BNHE is given; where every step asks, q_BNHE is None
    and the queries come first (J = 3). Maps larger than KEPT are made again in the backward pass,
    so memory is linear in L.
    """
    return _TwoViews.apply(q_BNHE, qkv_BLJHE, psi_BNHR, phi_HLR, gate_BNH)


class _TwoViews(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_BNHE, qkv_BLJHE, psi_BNHR, phi_HLR, gate_BNH):
        q_of_BNHE, k_BLHE, v_BLHE = _operands(q_BNHE, qkv_BLJHE)
        elements = q_of_BNHE[..., 0].numel() * k_BLHE.shape[1]
        keep = any(ctx.needs_input_grad) and 2 * elements <= KEPT
        local_BNHE, global_BNHE = q_of_BNHE.new_empty(2, *q_of_BNHE.shape)
        pieces = _pieces(q_of_BNHE, k_BLHE, v_BLHE, psi_BNHR, local_BNHE, global_BNHE)
        ctx.maps = []
        for piece, phi_LR in zip(pieces, cycle(phi_HLR), strict=False):
            q_BNE, k_BLE, v_BLE, psi_BNR, *views = piece
            maps = _maps(q_BNE, k_BLE, psi_BNR, phi_LR)
            for map_BNL, view_BNE in zip(maps, views, strict=True):
                view_BNE.copy_(map_BNL @ v_BLE)
            if keep:
                ctx.maps.append(maps)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(
            q_BNHE, qkv_BLJHE, psi_BNHR, phi_HLR, gate_BNH, local_BNHE, global_BNHE
        )
        mixed_BNHE = torch.lerp(global_BNHE, local_BNHE, gate_BNH[..., None])
        return mixed_BNHE, local_BNHE, global_BNHE

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_mixed_BNHE, d_local_BNHE, d_global_BNHE):
        q_BNHE, qkv_BLJHE, psi_BNHR, phi_HLR, gate_BNH, *views = ctx.saved_tensors
        if d_mixed_BNHE is None:
            d_mixed_BNHE = torch.zeros_like(views[0])
        # Of each view: its share of mixed, and what is subtracted in the softmax's gradient.
        gate_BNH1 = gate_BNH[..., None]
        shares = [gate_BNH1, 1 - gate_BNH1]
        dots = [(d_mixed_BNHE * view_BNHE).sum(-1, keepdim=True) for view_BNHE in views]
        d_gate_BNH = (dots[0] - dots[1])[..., 0]
        own = (d_local_BNHE, d_global_BNHE)  # None where only mixed is used
        rows = [
            share * dot if d_BNHE is None else share * dot + (d_BNHE * view).sum(-1, keepdim=True)
            for share, dot, d_BNHE, view in zip(shares, dots, own, views, strict=True)
        ]
        d_q_BNHE = None if q_BNHE is None else torch.empty_like(q_BNHE)
        d_qkv_BLJHE, d_psi_BNHR = torch.empty_like(qkv_BLJHE), torch.empty_like(psi_BNHR)
        d_phi_HLR = torch.zeros_like(phi_HLR)
        scale = qkv_BLJHE.shape[-1] ** -0.5
        pieces = _pieces(
            *_operands(q_BNHE, qkv_BLJHE), psi_BNHR, d_mixed_BNHE, *shares, *rows, *own,
            *_operands(d_q_BNHE, d_qkv_BLJHE), d_psi_BNHR,
        )  # fmt: skip
        factors = cycle(zip(phi_HLR, d_phi_HLR, strict=True))
        # Given back as they are used: a loss that is still known would hold them for another step.
        kept, ctx.maps = ctx.maps, []
        for piece, (phi_LR, d_phi_LR) in zip(pieces, factors, strict=False):
            q_BNE, k_BLE, v_BLE, psi_BNR, d_mixed_BNE, *of_views = piece[:-4]
            d_q_BNE, d_k_BLE, d_v_out_BLE, d_psi_BNR = piece[-4:]
            share, row, d_own = of_views[:2], of_views[2:4], of_views[4:]
            maps = kept.pop(0) if kept else _maps(q_BNE, k_BLE, psi_BNR, phi_LR)
            both_BNL = torch.lerp(maps[1], maps[0], share[0])
            d_v_BLE = both_BNL.mT @ d_mixed_BNE
            d_both_BNL = torch.bmm(d_mixed_BNE, v_BLE.mT, out=both_BNL)
            d_maps = d_m_BNL, d_g_BNL = d_both_BNL * share[0], d_both_BNL.mul_(share[1])
            for d_BNE, d_map_BNL, map_BNL in zip(d_own, d_maps, maps, strict=True):
                if d_BNE is not None:
                    d_map_BNL.baddbmm_(d_BNE, v_BLE.mT)
                    d_v_BLE.baddbmm_(map_BNL.mT, d_BNE)
            d_m_BNL.sub_(row[0]).mul_(maps[0])
            d_s_BNL = torch.addcmul(d_m_BNL, d_g_BNL.sub_(row[1]), maps[1], out=d_g_BNL)
            torch.mul(d_s_BNL @ k_BLE, scale, out=d_q_BNE)
            torch.mul(d_s_BNL.mT @ q_BNE, scale, out=d_k_BLE)
            d_v_out_BLE.copy_(d_v_BLE)
            d_m_XL = d_m_BNL.flatten(0, 1)
            d_psi_BNR.copy_((d_m_XL @ phi_LR).view_as(psi_BNR))
            d_phi_LR.addmm_(d_m_XL.t(), psi_BNR.flatten(0, 1))
        return d_q_BNHE, d_qkv_BLJHE, d_psi_BNHR, d_phi_HLR, d_gate_BNH


def _operands(q_BNHE: Tensor | None, qkv_BLJHE: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values, views of what ``two_views`` takes."""
    return qkv_BLJHE.unbind(2) if q_BNHE is None else (q_BNHE, *qkv_BLJHE.unbind(2))


def _pieces(q_BNHE: Tensor, k_BLHE: Tensor, *others: Tensor | None) -> Iterator[tuple]:
    """Of each (B, ., H, ...), what a piece of work needs, some windows of one head: (B, ., ...).

    The heads of the same windows come one after the other. Instead of None comes None.
    """
    B, N, H, _ = q_BNHE.shape
    size = max(1, CACHED // (N * k_BLHE.shape[1]))
    whole, count = (q_BNHE, k_BLHE, *others), math.ceil(B / size)
    windows = [[None] * count if t is None else t.split(size) for t in whole]
    for some in zip(*windows, strict=True):
        heads = [[None] * H if t is None else t.unbind(2) for t in some]
        yield from zip(*heads, strict=True)


def _maps(q_BNE: Tensor, k_BLE: Tensor, psi_BNR: Tensor, phi_LR: Tensor) -> tuple[Tensor, Tensor]:
    """A = softmax(S + M) and G = softmax(S)."""
    B, N, E = q_BNE.shape
    s_BNL = q_BNE.new_empty(B, N, k_BLE.shape[1])
    torch.baddbmm(s_BNL, q_BNE, k_BLE.mT, beta=0, alpha=E**-0.5, out=s_BNL)
    both_XL = torch.addmm(s_BNL.flatten(0, 1), psi_BNR.flatten(0, 1), phi_LR.t())
    # Not in place, which takes half as long again.
    return both_XL.view_as(s_BNL).softmax(-1), s_BNL.softmax(-1)
