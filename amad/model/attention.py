"""Local and global attention over one Q K^T, their mixture, and how far the two disagree.

With S the scaled logits Q K^T, M those of the kernel, and softmax over j:

    global G = softmax(S)    local A = softmax(S + M)    kernel P = softmax(M)

Where the association discrepancy is asked for, the maps are formed (faster on a CPU at the lengths
in use); else local and global attention are one fused call each, the local one with queries
[Q, psi] and keys [K, phi], in memory linear in L. Both ways give the same output.

Shape legend: B windows, L steps, D model width, H heads, E width of a head (D / H), R rank of the
kernel's factors, i query step, j key step.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import ModelParams
from amad.model.kernel import make_kernel

Phase = Literal["both", "max", "min"]

LOGIT_RANGE = 20.0  # below the row's largest; what is cut off weighs under 1e-8 beside it
CACHED_MAP = 2**18  # elements of a map that a CPU core keeps at hand: 1.6 times faster than without


class MixupAttention(nn.Module):
    """One attention layer that mixes a local and a global view of the window.

    Input: tokens x_BLD. Output: (mixed_BLD, local_BLD, global_BLD, discrepancy_BL), the last None
    unless it is asked for and there is a kernel. ``params.mixup`` chooses the mixture of the two
    views, per query:

    - ``gate``: g local + (1 - g) global, g = sigmoid(linear(token)), one for each head
    - ``scalar``: the same with one learned g for each head
    - ``beta``: g drawn from Beta(1, 1) for each window in training, 1/2 afterwards
    - ``concat``: a linear map of both, side by side
    - ``local``: as ``gate``, but the local view is the kernel P alone, without Q K^T
    - ``local_only``, ``global_only``: one of the two views and no mixture (the bare forms)

    Without a kernel, which ``global_only`` has no use for, or with ``local_only`` there is one view
    (``two_views`` is false), and all three outputs of width D come from it.
    """

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        width, self.heads = params.width, params.heads
        self.kernel = make_kernel(params) if params.mixup != "global_only" else None
        self.mixup = params.mixup if self.kernel is not None else "none"
        self.two_views = self.mixup not in ("none", "local_only")
        self.qkv = nn.Linear(width, 3 * width)
        both = 2 * width if self.mixup == "concat" else width
        self.out = nn.Linear(both, width)
        if self.mixup in ("gate", "local"):
            self.gate = nn.Linear(width, params.heads)
        elif self.mixup == "scalar":
            self.gate_H = nn.Parameter(torch.zeros(params.heads))

    def forward(
        self, x_BLD: Tensor, need_discrepancy: bool = True, phase: Phase = "both"
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Attend; see the class. ``need_discrepancy`` chooses the explicit form.

        phase: of Max-Min, whose gradient the discrepancy carries; see ``for_phase``.
        """
        B, L, _ = x_BLD.shape
        qkv_BHLE = self.qkv(x_BLD).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Logits in float32 whatever the autocast: a kernel's are small differences of large terms.
        with torch.autocast(x_BLD.device.type, enabled=False):
            q_BHLE, k_BHLE, v_BHLE = qkv_BHLE.float()
            q_BHLE = q_BHLE * q_BHLE.shape[-1] ** -0.5
            if self.kernel is None:
                global_BLD = _merge(fused(q_BHLE, k_BHLE, v_BHLE))
                return self.out(global_BLD), global_BLD, global_BLD, None
            psi_BHLR, phi_HLR = self.kernel(x_BLD.float())
            phi_BHLR = phi_HLR.expand_as(psi_BHLR)
            parts_BHLX = (q_BHLE, k_BHLE, v_BHLE, psi_BHLR, phi_BHLR)
            if not self.two_views:
                local_BLD = _merge(self._local(*parts_BHLX))
                return self.out(local_BLD), local_BLD, local_BLD, None
            if need_discrepancy:
                local_BHLE, global_BHLE, discrepancy_BL = self._explicit(phase, *parts_BHLX)
            else:
                local_BHLE, discrepancy_BL = self._local(*parts_BHLX), None
                global_BHLE = fused(q_BHLE, k_BHLE, v_BHLE)
        mixed_BLX = self._mix(x_BLD, local_BHLE, global_BHLE)
        return self.out(mixed_BLX), _merge(local_BHLE), _merge(global_BHLE), discrepancy_BL

    def _explicit(self, phase: Phase, *parts_BHLX: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local and global view and the discrepancy, from q, k, v, psi, phi."""
        B, H, L, _ = parts_BHLX[0].shape
        on_cpu = parts_BHLX[0].device.type == "cpu"
        chunk = max(1, CACHED_MAP // (H * L * L)) if on_cpu else B
        chunks = zip(*(part_BHLX.split(chunk) for part_BHLX in parts_BHLX), strict=True)
        local, world, gap = zip(
            *(self._explicit_chunk(phase, *chunk) for chunk in chunks), strict=True
        )
        return torch.cat(local), torch.cat(world), torch.cat(gap)

    def _explicit_chunk(self, phase: Phase, q_BHLE, k_BHLE, v_BHLE, psi_BHLR, phi_BHLR):
        s_BHLL = q_BHLE @ k_BHLE.transpose(-1, -2)
        m_BHLL = psi_BHLR @ phi_BHLR.transpose(-1, -2)
        local_logit_BHLL = m_BHLL if self.mixup == "local" else s_BHLL + m_BHLL
        local_BHLE = local_logit_BHLL.softmax(-1) @ v_BHLE
        global_BHLE = s_BHLL.softmax(-1) @ v_BHLE
        distance_BHL = association_discrepancy(*for_phase(m_BHLL, s_BHLL, phase))
        return local_BHLE, global_BHLE, bounded(distance_BHL).mean(1)

    def _local(self, q_BHLE, k_BHLE, v_BHLE, psi_BHLR, phi_BHLR) -> Tensor:
        if self.mixup == "local":
            return fused(psi_BHLR, phi_BHLR, v_BHLE)
        query_BHLX = torch.cat([q_BHLE, psi_BHLR], dim=-1)
        return fused(query_BHLX, torch.cat([k_BHLE, phi_BHLR], dim=-1), v_BHLE)

    def _mix(self, x_BLD: Tensor, local_BHLE: Tensor, global_BHLE: Tensor) -> Tensor:
        if self.mixup == "concat":
            return torch.cat([_merge(local_BHLE), _merge(global_BHLE)], dim=-1)
        if self.mixup in ("gate", "local"):
            g_BHL1 = self.gate(x_BLD).sigmoid().transpose(1, 2)[..., None]
        elif self.mixup == "scalar":
            g_BHL1 = self.gate_H.sigmoid()[None, :, None, None]
        elif self.training:
            g_BHL1 = torch.rand(len(x_BLD), 1, 1, 1, device=x_BLD.device)  # Beta(1, 1)
        else:
            g_BHL1 = 0.5
        return _merge(global_BHLE + g_BHL1 * (local_BHLE - global_BHLE))


def fused(q_BHLX: Tensor, k_BHLX: Tensor, v_BHLE: Tensor) -> Tensor:
    """softmax(q k^T) v in O(L) memory: no scaling; any widths of q and of v.

    Zeros pad the narrower side, as the fused kernels of a CPU want one width for both.
    """
    gap = q_BHLX.shape[-1] - v_BHLE.shape[-1]
    width = v_BHLE.shape[-1]
    if gap > 0:
        v_BHLE = functional.pad(v_BHLE, (0, gap))
    elif gap < 0:
        q_BHLX, k_BHLX = functional.pad(q_BHLX, (0, -gap)), functional.pad(k_BHLX, (0, -gap))
    return functional.scaled_dot_product_attention(q_BHLX, k_BHLX, v_BHLE, scale=1.0)[..., :width]


def association_discrepancy(m_BHLL: Tensor, s_BHLL: Tensor) -> Tensor:
    """KL(P||G) + KL(G||P) of P = softmax(m) and G = softmax(s), for each query: (B, H, L).

    Exact and in one pass, since the normalisers cancel: sum_j (P - G)_ij (m - s)_ij. Logits more
    than LOGIT_RANGE below the largest of their row are raised to that, so that free logits cannot
    make it grow without bound: it stays below 2 LOGIT_RANGE.
    """
    m_BHLL = (m_BHLL - m_BHLL.amax(-1, keepdim=True).detach()).clamp_min(-LOGIT_RANGE)
    s_BHLL = (s_BHLL - s_BHLL.amax(-1, keepdim=True).detach()).clamp_min(-LOGIT_RANGE)
    return ((m_BHLL.softmax(-1) - s_BHLL.softmax(-1)) * (m_BHLL - s_BHLL)).sum(-1)


def bounded(distance: Tensor) -> Tensor:
    """d / (1 + d), in [0, 1): a discrepancy that the Max phase cannot make swamp the loss."""
    return distance / (1 + distance)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """``x`` itself, whose gradient changes sign on the way back.

    On the global logits of the discrepancy it makes one backward pass of +k D do both phases of
    Max-Min: the kernel gets the gradient of +k D (P approaches G), the global attention that of
    -k D (G leaves P).
    """
    return _ReverseGradient.apply(x)


def for_phase(m_BHLL: Tensor, s_BHLL: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
    """The logits of kernel and global attention with the gradients of a phase of Max-Min.

    The discrepancy of what is returned, added to the loss, makes the global attention leave the
    kernel (``max``), the kernel approach the global attention (``min``), or both at once. The other
    side of a phase is stopped.
    """
    if phase == "max":
        return m_BHLL.detach(), reverse_gradient(s_BHLL)
    if phase == "min":
        return m_BHLL, s_BHLL.detach()
    return m_BHLL, reverse_gradient(s_BHLL)


def _merge(x_BHLE: Tensor) -> Tensor:
    return x_BHLE.transpose(1, 2).flatten(2)
