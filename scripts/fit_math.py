#!/usr/bin/env python3
"""Fits the polynomials of crates/kernel/src/lower/math: minimax in relative error, by Remez exchange in 90 digits.

Coefficients of f32 are rounded one by one from the lowest degree; after each, the others are fitted again. Those of f64 are rounded at once.
Needs mpmath. Usage: scripts/fit_math.py [name ...]
"""
import struct
import sys

from mpmath import atan, cos, erf, erfc, exp, fabs, log, lu_solve, matrix, mp, mpf, nstr, pi, sin, sqrt, tanh

mp.dps = 90


def round_to(value, bits):
    if bits == 24:
        return mpf(struct.unpack("<f", struct.pack("<f", float(value)))[0])
    return mpf(float(value))


def basis(x, powers):
    return [x**p for p in powers]


def remez(target, weight, powers, low, high, turns=14):
    """Coefficients c of sum c_k x^powers[k] that minimise max |weight (sum - target)|, with that maximum."""
    count = len(powers) + 1
    points = [(low + high) / 2 - (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    grid = [low + (high - low) * mpf(k) / 1500 for k in range(1501)]
    coefficients, level = None, None
    for _ in range(turns):
        rows = matrix(count, count)
        right = matrix(count, 1)
        for k, x in enumerate(points):
            for j, value in enumerate(basis(x, powers)):
                rows[k, j] = value
            rows[k, count - 1] = (-1) ** k / weight(x)
            right[k] = target(x)
        solution = lu_solve(rows, right)
        coefficients, level = list(solution[: count - 1]), fabs(solution[count - 1])
        error = [weight(x) * (sum(c * v for c, v in zip(coefficients, basis(x, powers))) - target(x)) for x in grid]
        peaks = []
        for k, e in enumerate(error):
            if peaks and (error[peaks[-1]] > 0) == (e > 0):
                if fabs(e) > fabs(error[peaks[-1]]):
                    peaks[-1] = k
            else:
                peaks.append(k)
        while len(peaks) > count:
            peaks.pop(0 if fabs(error[peaks[0]]) < fabs(error[peaks[-1]]) else -1)
        worst = max(fabs(e) for e in error)
        if len(peaks) < count:
            print('    few peaks', len(peaks), count)
            break
        points = [grid[k] for k in peaks]
        if worst < level * (1 + mpf(10) ** -3):
            break
    return coefficients, worst


def fit(name, target, weight, powers, low, high, bits, given=()):
    fixed = list(enumerate(given))
    rest = list(powers)[len(fixed) :]
    low, high = mpf(low), mpf(high)
    if bits == 53:
        coefficients, worst = remez(target, weight, rest, low, high)
        fixed, rest = [(p, round_to(c, bits)) for p, c in zip(powers, coefficients)], []
        print(f"{name}: before rounding 2^{nstr(log(worst, 2), 5)}")
    while rest:
        remaining = lambda x: target(x) - sum(c * x**p for p, c in fixed)
        coefficients, worst = remez(remaining, weight, rest, low, high)
        if len(fixed) == len(given):
            print(f"{name}: before rounding 2^{nstr(log(worst, 2), 5)}")
        fixed.append((rest.pop(0), round_to(coefficients[0], bits)))
    grid = [low + (high - low) * mpf(k) / 3000 for k in range(3001)]
    worst = max(fabs(weight(x) * (sum(c * x**p for p, c in fixed) - target(x))) for x in grid)
    print(f"{name}: after rounding 2^{nstr(log(worst, 2), 5)}")
    print("    [" + ", ".join(repr(float(c)) for _, c in fixed) + "]")


def over(f):
    """f at x, by its limit near 0."""
    return lambda x: f(x) if fabs(x) > mpf(10) ** -24 else f(mpf(10) ** -24)


half_log2 = log(2) / 2
tanh_tail = over(lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z)
exp_tail = over(lambda r: (exp(r) - 1 - r) / r**2)
log_tail = over(lambda f: (log(1 + f) - f) / f**2)
erf_tail = over(lambda z: (erf(sqrt(z)) / sqrt(z) - 1))
sin_tail = over(lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z)
cos_tail = over(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2)
atanh_tail = over(lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z)
atan_tail = over(lambda z: (atan(sqrt(z)) / sqrt(z) - 1) / z)

ERF_SPLIT = 0.9
FITS = {
    # e^r = 1 + r + r^2 P(r)
    "exp_f32": lambda: fit("exp_f32", exp_tail, lambda r: r**2 / exp(r) + mpf(10) ** -30, range(5), -half_log2 * 1.001, half_log2 * 1.001, 24),
    "exp_f64": lambda: fit("exp_f64", exp_tail, lambda r: r**2 / exp(r) + mpf(10) ** -30, range(10), -half_log2 * 1.001, half_log2 * 1.001, 53),
    # log(1 + f) = f + f^2 P(f)
    "log_f32": lambda: fit("log_f32", log_tail, lambda f: fabs(f**2 / over(lambda x: log(1 + x))(f)) + mpf(10) ** -30, range(9), -mpf(1) / 3, mpf(1) / 3, 24, [mpf(-0.5)]),
    # log((1+s)/(1-s)) = 2s + s P(s^2)
    "log_f64": lambda: fit("log_f64", atanh_tail, lambda z: z + mpf(10) ** -30, range(7), 0, mpf("0.02944"), 53),
    # erf(x) = x + x P(x^2) below the split
    "erf_low_f32": lambda: fit("erf_low_f32", erf_tail, lambda z: 1 / (1 + erf_tail(z)), range(7), 0, mpf(ERF_SPLIT) ** 2, 24),
    # erf(t) = 1 - exp(-(t + t P(t))) above it
    "erf_high_f32": lambda: fit("erf_high_f32", lambda t: -log(erfc(t)) / t - 1, lambda t: t * erfc(t) / erf(t), range(7), ERF_SPLIT, 4, 24),
    "erf_low_f64": lambda: fit("erf_low_f64", erf_tail, lambda z: 1 / (1 + erf_tail(z)), range(13), 0, 1, 53),
    # erfc(x) = exp(-x^2) P(u), u = 1/x' with x' = x + 2, centred
    "erf_high_f64": lambda: fit("erf_high_f64", lambda u: (lambda x: erfc(x) * exp(x * x))(3 / (u + mpf(0.6875)) - 2), lambda u: 1 / (lambda x: erfc(x) * exp(x * x))(3 / (u + mpf(0.6875)) - 2), range(17), 3 / mpf(8) - mpf(0.6875), mpf(1) - mpf(0.6875), 53),
    # tanh(x) = x + x^3 P(x^2)
    "tanh_f32": lambda: fit("tanh_f32", tanh_tail, lambda z: z / (1 + z * tanh_tail(z)) + mpf(10) ** -30, range(5), 0, mpf("0.36"), 24),
    # sin(x) = x + x^3 P(x^2), cos(x) = 1 - x^2/2 + x^4 P(x^2)
    "sin_f32": lambda: fit("sin_f32", sin_tail, lambda z: z / (1 + z * sin_tail(z)) + mpf(10) ** -30, range(3), 0, (pi / 4) ** 2 * 1.001, 24),
    "cos_f32": lambda: fit("cos_f32", cos_tail, lambda z: z**2 + mpf(10) ** -30, range(3), 0, (pi / 4) ** 2 * 1.001, 24),
    "sin_f64": lambda: fit("sin_f64", sin_tail, lambda z: z / (1 + z * sin_tail(z)) + mpf(10) ** -30, range(6), 0, (pi / 4) ** 2 * 1.001, 53),
    "cos_f64": lambda: fit("cos_f64", cos_tail, lambda z: z**2 + mpf(10) ** -30, range(6), 0, (pi / 4) ** 2 * 1.001, 53),
    # atan(x) = x + x^3 P(x^2) up to 1
    "atan_f32": lambda: fit("atan_f32", atan_tail, lambda z: z / (1 + z * atan_tail(z)) + mpf(10) ** -30, range(9), 0, 1, 24),
    "atan_f64": lambda: fit("atan_f64", atan_tail, lambda z: z / (1 + z * atan_tail(z)) + mpf(10) ** -30, range(20), 0, 1, 53),
}


def constants():
    """2/pi in pieces of 29 bits; the pieces of log 2 and pi/2."""
    rest, pieces = 2 / pi, []
    for k in range(7):
        unit = mpf(2) ** (-29 * (k + 1))
        piece = int(rest / unit) * unit
        pieces.append(repr(float(piece)))
        rest -= piece
    print("two_over_pi:", ", ".join(pieces))
    for name, value, bits in (("log2_f32", log(2), 14), ("log2_f64", log(2), 40)):
        unit = mpf(2) ** -bits
        high = round(value / unit) * unit
        print(name, repr(float(high)), repr(float(value - high)))
    first = mpf(float(pi / 2))
    second = mpf(float(pi / 2 - first))
    print("half_pi:", repr(float(first)), repr(float(second)), repr(float(pi / 2 - first - second)))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*FITS, "constants"]:
        constants() if wanted == "constants" else FITS[wanted]()
