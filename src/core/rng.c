/* Random numbers: xoshiro256** (Blackman and Vigna), seeded through splitmix64. */
#include "core/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/err.h"

static uint64_t rng_finalize(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rng_rotate_left(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

void rng_init(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        rng->state[i] = rng_finalize(seed);
    }
}

void rng_init_system(struct rng *rng)
{
    uint64_t seed;
    ssize_t n;

    do {
        n = getrandom(&seed, sizeof seed, 0);
    } while (n < 0 && errno == EINTR);
    ASSERT(n == (ssize_t)sizeof seed); /* eight bytes are never cut short or refused */
    rng_init(rng, seed);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rng_rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rng_rotate_left(s[3], 45);
    return result;
}

/* Lemire's multiplication; what would make some results likelier than others is thrown away. */
uint64_t rng_below(struct rng *rng, uint64_t n)
{
    ASSERT(n > 0);
    uint64_t uneven = (0 - n) % n;
    __uint128_t product;

    do {
        product = (__uint128_t)rng_next(rng) * n;
    } while ((uint64_t)product < uneven);
    return (uint64_t)(product >> 64);
}

uint64_t rng_mix(uint64_t a, uint64_t b)
{
    return rng_finalize(rng_finalize(a + 0x9e3779b97f4a7c15u) ^ (b * 0xd6e8feb86659fd93u + 1));
}
