"""What scripts/bench/gpu.sh runs: each part on its own, so that one that fails is told and the others go on."""
import argparse
import datetime
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = "build-gpu"
RECALL = 4000  # characters of a failing part's output that the JSON keeps


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def capture(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def run(command, timeout, env=None):
    """Runs a command with its output shown and kept; Failed with the end of it."""
    print("  $", " ".join(command), flush=True)
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise Failed(f"took longer than {timeout} s: {(error.stdout or b'')[-RECALL:]!r}") from None
    except OSError as error:
        raise Failed(str(error)) from None
    if result.returncode != 0:
        print(result.stdout[-RECALL:], flush=True)
        raise Failed(f"exit code {result.returncode}: {result.stdout[-RECALL:]}")
    return result.stdout


class Peer:
    """A process that answers one line of JSON to each command; scripts/bench/lib.mjs has the same."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.hello = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Failed(self.process.stderr.read()[-RECALL:])
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def race(ours, theirs, rounds, steps):
    """Medians over alternating rounds of the seconds of a step, after one round each that does not count."""
    seconds = ([], [])
    for i in range(rounds + 1):
        for peer, kept in zip((ours, theirs), seconds):
            value = peer.ask(f"run {steps}")["seconds"]
            if i > 0:
                kept.append(value)
    return [statistics.median(kept) for kept in seconds]


class Parts:
    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.rounds, self.steps = (2, 5) if options.quick else (7, 30)

    def peer(self, *arguments):
        return Peer(f"{BUILD}/gpu_bench", *map(str, arguments))

    def torch(self, *arguments):
        return Peer(sys.executable, "scripts/bench/gpu_torch.py", *map(str, arguments))

    def build(self):
        torch_root = os.path.dirname(__import__("torch").__file__)
        tests = os.path.exists("/usr/include/gtest/gtest.h") or os.path.isdir(".cache/gtest")
        node = self.node_headers()
        defines = ["-DSLUICE_BENCH=ON", f"-DSLUICE_TESTS={'ON' if tests else 'OFF'}", f"-DSLUICE_TORCH_ROOT={torch_root}"]
        if node:
            defines.append(f"-DCMAKE_JS_INC={node}")
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        text = run(["cmake", "-S", "native", "-B", BUILD, *generator, *defines], 300)
        built = [line.split("-- ", 1)[1] for line in text.splitlines() if line.startswith(("-- LibTorch", "-- CUDA 1", "-- CUDA 2"))]
        run(["cmake", "--build", BUILD, "--parallel", str(os.cpu_count())], 1800)
        return {"found": built, "tests": tests, "addon": bool(node)}

    def node(self):
        return os.environ.get("NODE") or shutil.which("node")

    def node_headers(self):
        node = self.node()
        folder = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(node))), "include", "node") if node else ""
        return folder if os.path.exists(os.path.join(folder, "node_api.h")) else ""

    def correctness(self):
        if not os.path.exists(f"{BUILD}/cuda_tests"):
            raise Skipped("the tests were not built: GoogleTest is neither installed nor in .cache/gtest")
        report = f"{BUILD}/cuda_tests.json"
        run([f"{BUILD}/cuda_tests", f"--gtest_output=json:{report}"], 900)
        with open(report) as file:
            tests = json.load(file)
        skipped = sum(1 for suite in tests["testsuites"] for test in suite["testsuite"] if test.get("result") == "SKIPPED")
        return {"tests": tests["tests"], "failed": tests["failures"], "skipped": skipped}

    def sanitizer(self):
        """Out-of-bounds accesses and races of the kernels, on the small tests of single kernels."""
        if not shutil.which("compute-sanitizer"):
            raise Skipped("compute-sanitizer is not installed")
        for tool in ("memcheck", "racecheck"):
            run(["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", f"{BUILD}/cuda_tests", "--gtest_filter=*Kernels*"], 900)
        return {"tools": ["memcheck", "racecheck"]}

    def limits(self):
        with self.torch("limits") as peer:
            return peer.ask("run 1")

    def losses(self):
        """Losses of 100 steps in fp32 from the same weights and batches as PyTorch."""
        with tempfile.TemporaryDirectory() as folder, self.peer("dlrm", "fp32", 2048, 20_000, folder) as ours:
            ours.ask("export")
            with self.torch("dlrm", "fp32", 2048, 20_000, folder) as theirs:
                a, b = (peer.ask("run 100")["losses"] for peer in (ours, theirs))
        return {"steps": len(a), "largestRelativeDifference": max(abs(x - y) / abs(y) for x, y in zip(a, b)), "must": 1e-5}

    def dlrm(self, precision="bf16", order="fixed", tables="bags"):
        batch, rows = (4096, 20_000) if self.quick else (65_536, 200_000)
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["dlrm", precision, batch, rows, folder]
            with self.peer(*arguments, *(["any-order"] if order == "any" else [])) as ours, self.torch(*arguments, tables) as theirs:
                if theirs.hello.get("missing"):
                    raise Skipped(f"{theirs.hello['missing']} cannot be imported")
                seconds, peer_seconds = race(ours, theirs, self.rounds, self.steps)
        limits = self.options.results.get("limits", {}).get("figures")
        touched = 4 * 128 * 26 * (batch + 2 * rows * (1 - (1 - 1 / rows) ** batch))  # rows read by samples; those updated read and written once
        figures = {"batch": batch, "rowsPerTable": rows, "sluiceMs": 1e3 * seconds, "torchMs": 1e3 * peer_seconds, "ratio": peer_seconds / seconds}
        if limits:
            weights = 13 * 512 + 512 * 256 + 256 * 128 + 479 * 1024 + 1024 * 1024 + 1024 * 512 + 512 * 256 + 256
            least = touched / limits["bytesPerSecond"] + 6 * batch * weights / limits["flopsPerSecond"][precision]
            figures.update({"limitMs": 1e3 * least, "shareOfLimit": least / seconds, "limit": "rows read and updated at memory bandwidth, then the MLPs' products"})
        return figures

    def dlrm_bf16(self):
        return {**self.dlrm(), "must": 3}

    def dlrm_bf16_any_order(self):
        return {**self.dlrm(order="any"), "must": 3}

    def dlrm_bf16_fbgemm(self):
        return {**self.dlrm(tables="fbgemm"), "aim": 1}

    def dlrm_fp32(self):
        return self.dlrm("fp32")

    def loop(self):
        batch, rows = (4096, 20_000) if self.quick else (65_536, 200_000)
        with tempfile.TemporaryDirectory() as folder, self.peer("dlrm", "bf16", batch, rows, folder) as peer:
            peer.ask(f"run {self.steps}")
            kept = {name: [] for name in ("run", "disk", "infer", "score", "select")}
            for _ in range(3 if self.quick else 5):
                for name, values in kept.items():
                    seconds = peer.ask(f"{name} {self.steps}")["seconds"]
                    values.append(statistics.median(seconds) if isinstance(seconds, list) else seconds)
        ms = {name: 1e3 * statistics.median(values) for name, values in kept.items()}
        return {
            "ms": ms,
            "diskToMemory": {"ratio": ms["run"] / ms["disk"], "must": 0.97, "aim": 0.99},
            "inferenceToScoring": {"ratio": ms["infer"] / ms["score"], "must": 0.9, "aim": 0.95},
            "halfByGradientNormToAll": {"ratio": ms["select"] / ms["run"], "mostMust": 0.90, "mostAim": 0.83},
        }

    def resnet50_bf16(self):
        batch, side = (16, 64) if self.quick else (256, 224)
        with self.peer("image", "bf16", 50, batch, side) as ours, self.torch("image", "bf16", 50, batch, side) as theirs:
            seconds, peer_seconds = race(ours, theirs, self.rounds, 10)
        return {"batch": batch, "sluiceMs": 1e3 * seconds, "torchMs": 1e3 * peer_seconds, "ratio": peer_seconds / seconds, "must": 1.0, "aim": 1.1,
                "peer": theirs.hello.get("peer")}

    def twins(self):
        """DistilBERT of its published size, without dropout, and TorchScript models: losses of steps on the GPU beside the CPU's in fp32."""
        batch, length, steps = (4, 32, 5) if self.quick else (8, 128, 20)
        figures = {}
        with tempfile.TemporaryDirectory() as folder:
            run([sys.executable, "scripts/bench/gpu_torch.py", "export", folder], 300)
            kinds = {"distilbert": lambda *at: ["text", *at, batch, length, 0], "mlp": lambda *at: ["script", *at, 32, f"{folder}/mlp.pt", 64, 0],
                     "conv": lambda *at: ["script", *at, 32, f"{folder}/conv.pt", 0, 32]}
            for kind, arguments in kinds.items():
                with self.peer(*arguments("fp32", "cpu")) as cpu:
                    expected = cpu.ask(f"run {steps}")["losses"]
                for precision, most in (("fp32", 1e-3), ("bf16", 0.05)):
                    with self.peer(*arguments(precision, "cuda")) as gpu:
                        losses = gpu.ask(f"run {steps}")["losses"]
                    difference = max(abs(x - y) / max(abs(y), 0.1) for x, y in zip(losses, expected))
                    figures[f"{kind} {precision}"] = {"steps": len(losses), "largestDifference": difference, "must": most}
                    if len(losses) != steps or not difference <= most:
                        raise Failed(f"{kind} in {precision}: losses {losses} beside {expected} on the CPU")
        return figures

    def distilbert_bf16(self):
        batch, length = (4, 32) if self.quick else (32, 128)
        with self.peer("text", "bf16", "cuda", batch, length, 0.1) as ours, self.torch("text", "bf16", batch, length) as theirs:
            seconds, peer_seconds = race(ours, theirs, self.rounds, self.steps)
        return {"batch": batch, "length": length, "sluiceMs": 1e3 * seconds, "torchMs": 1e3 * peer_seconds, "ratio": peer_seconds / seconds, "must": 1.0, "aim": 1.2,
                "peer": theirs.hello.get("peer")}

    def pipeline(self):
        """The addon in Node: the tests of devices, which train a small pipeline on the GPU."""
        if not self.node():
            raise Skipped("Node is neither on the PATH nor named by NODE")
        if not os.path.exists(f"{BUILD}/Release/sluice.node"):
            raise Skipped("the addon was not built: Node's headers are not beside it")
        if not os.path.exists("dist/pipeline/device.test.js"):
            run([self.node(), "node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], 300)
        os.makedirs("build/Release", exist_ok=True)
        shutil.copy(f"{BUILD}/Release/sluice.node", "build/Release/sluice.node")
        run([self.node(), "--expose-gc", "node_modules/uvu/bin.js", "dist", r"device\.test\.js$", "--ignore", "fixtures"], 600)
        return {}


ALL = ["build", "correctness", "sanitizer", "limits", "losses", "dlrm_bf16", "dlrm_bf16_any_order", "dlrm_bf16_fbgemm", "dlrm_fp32", "loop", "resnet50_bf16", "twins", "distilbert_bf16", "pipeline"]
WITHOUT_DEVICE = ["build", "correctness"]


def device():
    """Name, memory and driver, or None and why."""
    try:
        import torch
    except ImportError:
        return None, f"{sys.executable} has no torch"
    if not torch.cuda.is_available():
        return None, "no CUDA device" if torch.version.cuda else f"no CUDA device (and torch {torch.__version__} is a build without CUDA)"
    properties = torch.cuda.get_device_properties(0)
    driver = capture(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]).splitlines()
    return {"name": properties.name, "memoryGiB": round(properties.total_memory / 2**30, 1), "capability": f"{properties.major}.{properties.minor}",
            "driver": driver[0] if driver else "unknown", "torch": torch.__version__}, None


def measure(parts, name):
    started = time.monotonic()
    print(f"gpu: {name} …", flush=True)
    try:
        result = {"status": "ok", "figures": getattr(parts, name)()}
    except Skipped as why:
        result = {"status": "skipped", "why": str(why)}
    except Exception as error:  # one part's trouble is not the others'
        result = {"status": "failed", "why": f"{type(error).__name__}: {error}" if not isinstance(error, Failed) else str(error)}
    result["seconds"] = round(time.monotonic() - started, 1)
    print(f"gpu: {name}: {result['status']}{' — ' + result['why'][-300:] if 'why' in result else ' ' + json.dumps(result['figures'])}", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/gpu.sh")
    parser.add_argument("--out", default=f"{BUILD}/gpu.json", help="where the JSON goes")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether everything runs")
    parser.add_argument("--only", action="append", choices=ALL, help="this part alone; may be repeated")
    options = parser.parse_args()
    options.results = {}
    found, reason = device()
    report = {
        "device": found,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": capture(["git", "rev-parse", "HEAD"]),
        "nvcc": (capture(["nvcc", "--version"]).splitlines() or ["not found"])[-1],
        "cores": os.cpu_count(),
        "quick": options.quick,
        "parts": options.results,
    }
    if reason:
        report["reason"] = reason
    parts = Parts(options)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    for name in options.only or (ALL if found else WITHOUT_DEVICE):
        options.results[name] = measure(parts, name)
        with open(options.out, "w") as file:  # after each: what is there survives whatever comes
            json.dump(report, file, indent=1)
            file.write("\n")
    failed = [name for name, result in options.results.items() if result["status"] == "failed"]
    print(f"gpu: {len(options.results)} parts, failed: {', '.join(failed) or 'none'}; written to {options.out}")
    if not found:
        print(f"gpu: {reason}: nothing was run on a GPU", file=sys.stderr)
        return 2
    return 1 if failed else 0


sys.exit(main())
