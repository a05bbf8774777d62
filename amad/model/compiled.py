"""Training steps that ``torch.compile`` has made: fused kernels, and CUDA graphs of them.

One program is made for batches of one size. A smaller one, such as the last of an epoch, is
computed as without a compiler, so that no other program is made. Nor does the program hold what
depends on the values of a batch: the linear skip, which has no gradient, is computed before it, and
the last layer computes every step of a window.
"""

import torch

from amad.config import ConfigError
from amad.config.cluster import Compile
from amad.model.losses import Losses, Objective

REMEDY = (
    "it needs a C++ compiler (g++, or the one that CXX names) and the headers of Python on each "
    "machine that trains; install them there, or set compile: none in the cluster profile"
)


def compile_steps(objective: Objective, windows: int, how: Compile) -> None:
    """Let the objective compute batches of so many windows with a compiled program.

    Its weights keep their names, and its other batches stay as they are. The first such batch is
    when the program is made; it raises ConfigError where this machine cannot make it.
    """
    if how == "none":
        return
    # It would cut the program where a bucket of gradients ends; these networks fill one or two.
    torch._dynamo.config.optimize_ddp = False
    mode = "reduce-overhead" if how == "graphs" else "default"
    program = torch.compile(objective.on_skip, fullgraph=True, dynamic=False, mode=mode)

    def compiled(*given) -> Losses:
        if how == "graphs":  # what the step before has left may be overwritten
            torch.compiler.cudagraph_mark_step_begin()
        try:
            return program(*given)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"torch.compile failed (compile: {how} of the cluster profile; {reason}); {REMEDY}"
            ) from error

    objective.compiled, objective.compiled_windows = compiled, windows
