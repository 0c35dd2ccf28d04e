/* Random numbers: one generator per owner, seeded by the system or, in the simulation, by the run's
 * seed. */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state[4]; /* xoshiro256** */
};

/* Seed from a number; equal seeds give equal sequences. */
void rng_init(struct rng *rng, uint64_t seed);
/* Seed from the system's entropy. */
void rng_init_system(struct rng *rng);
/* 64 random bits. */
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* A well mixed hash of two numbers, for rendezvous hashing and tables. No state. */
uint64_t rng_mix(uint64_t a, uint64_t b);

#endif
