"""Local and global attention over one Q K^T, their mixture, and how far the two disagree.

With S the scaled logits Q K^T, M those of the kernel, and softmax over j:

    global G = softmax(S)    local A = softmax(S + M)    kernel P = softmax(M)

Where the association discrepancy is asked for, the maps are formed. Otherwise, on a CPU, both views
are made together in the cache (``amad.model.views``); elsewhere they are one fused call each, the
local one with queries [Q, psi] and keys [K, phi]. All ways give the same output.

Shape legend: B windows, L steps, N steps that ask (queries), D model width, H heads, E width of a
head (D / H), R rank of the kernel's factors, X any of E, R and E + R, i query step, j key step.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import ModelParams
from amad.model.kernel import AutoMask
from amad.model.views import two_views

LOGIT_RANGE = 20.0  # below the largest of a row; what is cut off has less than 1e-8 of its weight
CACHED_MAP = 2**18  # elements of a map that the cache of a CPU core holds: 1.6 times faster
# From the settings to the kernel of a layer, a module that is called as ``AutoMask`` is.
MakeKernel = Callable[[ModelParams], nn.Module]


class MixupAttention(nn.Module):
    """One attention layer that mixes a local and a global view of the window.

    Input: tokens x_BLD. Output: (mixed_BND, local_BND, global_BND, discrepancy_BL), the last None
    unless it is asked for. A gate mixes the views of each query: g local + (1 - g) global with
    g = sigmoid(linear(token)), one g per head.

    Every step asks (N = L), or on a CPU those of step_BN alone; keys and values are of every step.
    """

    def __init__(self, params: ModelParams, kernel: MakeKernel = AutoMask) -> None:
        super().__init__()
        width, self.heads = params.width, params.heads
        self.kernel = kernel(params)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.gate = nn.Linear(width, params.heads)

    def forward(
        self, x_BLD: Tensor, need_discrepancy: bool = True, step_BN: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Attend; see the class. With ``need_discrepancy`` the maps are formed, of every step."""
        x_BND = x_BLD if step_BN is None else steps_of(x_BLD, step_BN)
        q_BNHE, qkv_BLJHE = self._projections(x_BLD, None if step_BN is None else x_BND)
        gate_BNH, discrepancy_BL = self.gate(x_BND).sigmoid(), None
        # In float32 even under autocast, as a kernel's logits are small differences of large terms.
        with torch.autocast(x_BLD.device.type, enabled=False):
            psi_BNHR, phi_HLR = self.kernel(x_BND.float(), step_BN)
            parts = qkv_BLJHE.float(), psi_BNHR, phi_HLR, gate_BNH.float()
            if by_pieces(x_BLD) and not need_discrepancy:
                q_BNHE = None if q_BNHE is None else q_BNHE.float()
                mixed_BNHE, local_BNHE, global_BNHE = two_views(q_BNHE, *parts)
            else:
                assert step_BN is None
                mixed_BNHE, local_BNHE, global_BNHE, discrepancy_BL = self._by_heads(
                    *parts, explicit=need_discrepancy
                )
        mixed_BND, local_BND = mixed_BNHE.flatten(2), local_BNHE.flatten(2)
        return self.out(mixed_BND), local_BND, global_BNHE.flatten(2), discrepancy_BL

    def _projections(self, x_BLD: Tensor, x_BND: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """What ``two_views`` takes first: with x_BND the queries are of these tokens alone."""
        width = x_BLD.shape[-1]
        heads = (self.heads, width // self.heads)
        if x_BND is None:
            return None, self.qkv(x_BLD).unflatten(-1, (3, *heads))
        parts = (part.split([width, 2 * width]) for part in (self.qkv.weight, self.qkv.bias))
        of_q, of_kv = zip(*parts, strict=True)
        q_BNHE = functional.linear(x_BND, *of_q).unflatten(-1, heads)
        return q_BNHE, functional.linear(x_BLD, *of_kv).unflatten(-1, (2, *heads))

    def _by_heads(
        self,
        qkv_BL3HE: Tensor,
        psi_BLHR: Tensor,
        phi_HLR: Tensor,
        gate_BLH: Tensor,
        *,
        explicit: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """As ``two_views`` and the discrepancy, on explicit maps or by two fused calls."""
        q_BHLE, k_BHLE, v_BHLE = _scaled(qkv_BL3HE)
        psi_BHLR = psi_BLHR.transpose(1, 2)
        phi_BHLR = phi_HLR.expand_as(psi_BHLR)
        discrepancy_BL = None
        if explicit:
            local_BHLE, global_BHLE, discrepancy_BL = self._explicit(
                q_BHLE, k_BHLE, v_BHLE, psi_BHLR, phi_BHLR
            )
        else:
            query_BHLX = torch.cat([q_BHLE, psi_BHLR], dim=-1)
            local_BHLE = fused(query_BHLX, torch.cat([k_BHLE, phi_BHLR], dim=-1), v_BHLE)
            global_BHLE = fused(q_BHLE, k_BHLE, v_BHLE)
        local_BLHE, global_BLHE = local_BHLE.transpose(1, 2), global_BHLE.transpose(1, 2)
        mixed_BLHE = global_BLHE + gate_BLH[..., None] * (local_BLHE - global_BLHE)
        return mixed_BLHE, local_BLHE, global_BLHE, discrepancy_BL

    def _explicit(self, *parts_BHLX: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local and global view and the discrepancy, from q, k, v, psi, phi."""
        B, H, L, _ = parts_BHLX[0].shape
        chunk = max(1, CACHED_MAP // (H * L * L)) if by_pieces(parts_BHLX[0]) else B
        chunks = zip(*(part_BHLX.split(chunk) for part_BHLX in parts_BHLX), strict=True)
        local, world, gap = zip(*(self._explicit_chunk(*chunk) for chunk in chunks), strict=True)
        return torch.cat(local), torch.cat(world), torch.cat(gap)

    @staticmethod
    def _explicit_chunk(q_BHLE, k_BHLE, v_BHLE, psi_BHLR, phi_BHLR):
        s_BHLL = q_BHLE @ k_BHLE.transpose(-1, -2)
        m_BHLL = psi_BHLR @ phi_BHLR.transpose(-1, -2)
        local_BHLE = (s_BHLL + m_BHLL).softmax(-1) @ v_BHLE
        global_BHLE = s_BHLL.softmax(-1) @ v_BHLE
        distance_BHL = association_discrepancy(m_BHLL, reverse_gradient(s_BHLL))
        return local_BHLE, global_BHLE, bounded(distance_BHL).mean(1)


def by_pieces(x: Tensor) -> bool:
    """Whether maps are made in pieces that the cache holds: on a CPU, where nothing is compiled.

    ``torch.compile`` would make another program of each piece, in minutes.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def steps_of(x_BLX: Tensor, step_BN: Tensor) -> Tensor:
    """The rows of each window at its steps ``step_BN``, (B, N, X)."""
    row_BN = _row_numbers(step_BN, x_BLX.shape[1])
    return x_BLX.flatten(0, 1).index_select(0, row_BN.flatten()).view(*step_BN.shape, -1)


def put_at_steps(x_BNX: Tensor, step_BN: Tensor, length: int) -> Tensor:
    """Windows of ``length`` steps with these rows at their steps and zeros elsewhere, (B, L, X)."""
    row_BN = _row_numbers(step_BN, length)
    zeros = x_BNX.new_zeros(len(x_BNX) * length, x_BNX.shape[2])
    rows = zeros.index_copy(0, row_BN.flatten(), x_BNX.flatten(0, 1))
    return rows.view(len(x_BNX), length, -1)


def _row_numbers(step_BN: Tensor, length: int) -> Tensor:
    """The numbers of steps among the rows of all windows, one window after the other."""
    return step_BN + length * torch.arange(len(step_BN), device=step_BN.device)[:, None]


def fused(q_BHLX: Tensor, k_BHLX: Tensor, v_BHLE: Tensor) -> Tensor:
    """softmax(q k^T) v in O(L) memory, without scaling; v is at most as wide as q.

    Zeros pad v, as the fused kernels of a CPU need one width for both.
    """
    E, X = v_BHLE.shape[-1], q_BHLX.shape[-1]
    v_BHLX = functional.pad(v_BHLE, (0, X - E)) if X > E else v_BHLE
    return functional.scaled_dot_product_attention(q_BHLX, k_BHLX, v_BHLX, scale=1.0)[..., :E]


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
    """d / (1 + d), in [0, 1): the Max phase cannot make this discrepancy dominate the loss."""
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

    On the global logits of the discrepancy, it lets one backward pass of +k D do both phases of
    Max-Min: the kernel gets the gradient of +k D, so P approaches G, and the global attention that
    of -k D, so G moves away from P.
    """
    return _ReverseGradient.apply(x)


def _scaled(qkv_BL3HE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q / sqrt(E), k and v, each (B, H, L, E)."""
    q_BHLE, k_BHLE, v_BHLE = qkv_BL3HE.permute(2, 0, 3, 1, 4)
    return q_BHLE * q_BHLE.shape[-1] ** -0.5, k_BHLE, v_BHLE
