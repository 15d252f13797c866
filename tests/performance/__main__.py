"""All benchmarks, one after the other: ``python -m tests.performance``."""

from tests.performance import bench_generator, bench_grammar, bench_limits, bench_questions, bench_validator

for benchmark in (bench_validator, bench_limits, bench_generator, bench_grammar, bench_questions):
    benchmark.main([])
