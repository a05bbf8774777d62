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

from collections.abc import Iterator

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
        ctx.maps = []
        for piece, head in _pieces(B, L, H):
            q_BLE, k_BLE, v_BLE = qkv_BL3HE[piece, :, :, head].unbind(2)
            maps = _maps(q_BLE, k_BLE, psi_BLHR[piece, :, head], phi_HLR[head])
            for map_BLL, view_BLHE in zip(maps, (local_BLHE, global_BLHE), strict=True):
                view_BLHE[piece, :, head] = map_BLL @ v_BLE
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
        B, L, _, H, E = qkv_BL3HE.shape
        if d_mixed_BLHE is None:
            d_mixed_BLHE = torch.zeros_like(views[0])
        # Of each view: its share of mixed, and what is subtracted in the softmax's gradient.
        shares = [gate_BLH, 1 - gate_BLH]
        dots = [(d_mixed_BLHE * view_BLHE).sum(-1) for view_BLHE in views]
        d_gate_BLH = dots[0] - dots[1]
        own = (d_local_BLHE, d_global_BLHE)  # None where only mixed is used
        rows = [
            share_BLH * dot_BLH if d_BLHE is None else share_BLH * dot_BLH + (d_BLHE * view).sum(-1)
            for share_BLH, dot_BLH, d_BLHE, view in zip(shares, dots, own, views, strict=True)
        ]
        d_qkv_BL3HE, d_psi_BLHR = torch.empty_like(qkv_BL3HE), torch.empty_like(psi_BLHR)
        d_phi_HLR = torch.zeros_like(phi_HLR)
        for number, (piece, head) in enumerate(_pieces(B, L, H)):
            at = (piece, slice(None), head)
            q_BLE, k_BLE, v_BLE = qkv_BL3HE[piece, :, :, head].unbind(2)
            psi_BLR, phi_LR, d_mixed_BLE = psi_BLHR[at], phi_HLR[head], d_mixed_BLHE[at]
            maps = ctx.maps[number] if ctx.maps else _maps(q_BLE, k_BLE, psi_BLR, phi_LR)
            share_local_BL1, share_global_BL1 = (share_BLH[at][..., None] for share_BLH in shares)
            both_BLL = torch.lerp(maps[1], maps[0], share_local_BL1)
            d_v_BLE = both_BLL.mT @ d_mixed_BLE
            d_both_BLL = torch.bmm(d_mixed_BLE, v_BLE.mT, out=both_BLL)
            d_maps = [d_both_BLL * share_local_BL1, d_both_BLL.mul_(share_global_BL1)]
            for d_BLHE, d_map_BLL, map_BLL in zip(own, d_maps, maps, strict=True):
                if d_BLHE is not None:
                    d_map_BLL.baddbmm_(d_BLHE[at], v_BLE.mT)
                    d_v_BLE.baddbmm_(map_BLL.mT, d_BLHE[at])
            d_m_BLL, d_g_BLL = (
                d.sub_(row[at][..., None]) for d, row in zip(d_maps, rows, strict=True)
            )
            d_m_BLL *= maps[0]
            d_s_BLL = torch.addcmul(d_m_BLL, d_g_BLL, maps[1], out=d_g_BLL)
            d_q_BLE, d_k_BLE, d_v_out_BLE = d_qkv_BL3HE[piece, :, :, head].unbind(2)
            torch.mul(d_s_BLL @ k_BLE, E**-0.5, out=d_q_BLE)
            torch.mul(d_s_BLL.mT @ q_BLE, E**-0.5, out=d_k_BLE)
            d_v_out_BLE.copy_(d_v_BLE)
            d_m_XL = d_m_BLL.flatten(0, 1)
            d_psi_BLHR[at] = (d_m_XL @ phi_LR).view(psi_BLR.shape)
            d_phi_HLR[head].addmm_(d_m_XL.t(), psi_BLR.flatten(0, 1))
        return d_qkv_BL3HE, d_psi_BLHR, d_phi_HLR, d_gate_BLH


def _pieces(B: int, L: int, H: int) -> Iterator[tuple[slice, int]]:
    """The windows and the head of each piece of work."""
    size = max(1, CACHED // (L * L))
    for first in range(0, B, size):
        for head in range(H):
            yield slice(first, first + size), head


def _maps(q_BLE: Tensor, k_BLE: Tensor, psi_BLR: Tensor, phi_LR: Tensor) -> tuple[Tensor, Tensor]:
    """A = softmax(S + M) and G = softmax(S)."""
    B, L, E = q_BLE.shape
    s_BLL = q_BLE.new_empty(B, L, L)
    torch.baddbmm(s_BLL, q_BLE, k_BLE.mT, beta=0, alpha=E**-0.5, out=s_BLL)
    both_XL = torch.addmm(s_BLL.flatten(0, 1), psi_BLR.flatten(0, 1), phi_LR.t())
    both_BLL = both_XL.view(B, L, L)
    return torch.softmax(both_BLL, -1, out=both_BLL), torch.softmax(s_BLL, -1, out=s_BLL)
