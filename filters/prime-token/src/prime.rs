//! Which numbers are prime.

/// The first twelve primes. As witnesses they decide every number below 3.3e24 (Sorenson and Webster, 2015), so all of
/// `u64`: the test is exact, and a token of 20 digits costs no more than a few thousand multiplications.
const WITNESSES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

/// Whether `n` is prime (Miller-Rabin).
pub fn is_prime(n: u64) -> bool {
    if n < 2 {
        return false;
    }
    for prime in WITNESSES {
        if n.is_multiple_of(prime) {
            return n == prime;
        }
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    WITNESSES.iter().all(|witness| passes(n, *witness, odd, twos))
}

/// Whether `witness` finds nothing against `n`, where n - 1 = odd * 2^twos.
fn passes(n: u64, witness: u64, odd: u64, twos: u32) -> bool {
    let mut x = power(witness, odd, n);
    if x == 1 || x == n - 1 {
        return true;
    }
    for _ in 1..twos {
        x = multiply(x, x, n);
        if x == n - 1 {
            return true;
        }
    }
    false
}

fn power(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut result = 1;
    base %= modulus;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base, modulus);
        }
        base = multiply(base, base, modulus);
        exponent >>= 1;
    }
    result
}

fn multiply(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

#[cfg(test)]
mod tests {
    use super::is_prime;

    #[test]
    fn agrees_with_trial_division() {
        let slow = |n: u64| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in 0..20_000 {
            assert_eq!(is_prime(n), slow(n), "{n}");
        }
    }

    #[test]
    fn large_numbers() {
        for prime in [
            4_294_967_291,
            4_294_967_311,
            1_000_000_000_039,
            18_446_744_073_709_551_557,
        ] {
            assert!(is_prime(prime), "{prime}");
        }
        // The largest square of a prime, a Carmichael number, and products that deceive some of the witnesses.
        for composite in [
            18_446_744_030_759_878_681,
            9_746_347_772_161,
            3_215_031_751,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
            u64::MAX,
        ] {
            assert!(!is_prime(composite), "{composite}");
        }
    }
}
