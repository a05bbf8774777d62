"""Training steps that ``torch.compile`` has made: fused kernels, and CUDA graphs of them.

One program is made for batches of one size. A smaller one, such as the last of an epoch, is
computed as without a compiler, so that no other program is made. Nor does the program hold what
depends on the values of a batch: the linear skip, which has no gradient, is computed before it, and
the last layer computes every step of a window.
"""

import os
import shutil

import torch

from amad.config import ConfigError
from amad.config.cluster import Compile
from amad.model.losses import Losses, Objective

COMPILERS = {"cpu": ("CXX", ("g++",)), "cuda": ("CC", ("gcc", "clang"))}  # as torch finds them


def require_compiler(how: Compile, device: str) -> None:
    """See that this machine has the C or C++ compiler that torch.compile calls for the device.

    Raises:
        ConfigError: it has none.
    """
    variable, usual = COMPILERS[device]
    names = (os.environ[variable],) if variable in os.environ else usual
    if how != "none" and not any(map(shutil.which, names)):
        raise _refusal(how, device, f"there is no {' or '.join(names)}")


def _refusal(how: Compile, device: str, reason: str) -> ConfigError:
    variable, usual = COMPILERS[device]
    return ConfigError(
        f"compile: {how} of the cluster profile does not work on this machine: {reason}. For "
        f"{device}, torch.compile needs {' or '.join(usual)} (or what {variable} names) and the "
        "headers of Python wherever a network is trained; install them, or set compile: none"
    )


def compile_steps(objective: Objective, windows: int, how: Compile) -> None:
    """Let the objective compute batches of so many windows with a compiled program.

    Its weights keep their names, and other batches are computed as before. The program is made at
    the first such batch, which raises ConfigError where that fails.

    Raises:
        ConfigError: this machine has no compiler.
    """
    if how == "none":
        return
    device = next(objective.parameters()).device.type
    require_compiler(how, device)
    # A worker trains one trial after the other, and torch refuses the ninth program of a function.
    torch.compiler.reset()
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
            raise _refusal(how, device, " ".join(str(error).split())[:200]) from error

    objective.compiled, objective.compiled_windows = compiled, windows
