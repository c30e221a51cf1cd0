/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a fuzz target is: libFuzzer's entry point, and ours (replay.c). Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Another thread changes what the target works on meanwhile; then only a sanitizer finds faults. */
extern bool fuzz_race;

#endif
