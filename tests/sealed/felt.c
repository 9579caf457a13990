/*
 * Two processes that feel each other: what a captured vision and a captured publisher could still say to one another.
 *
 * Time is cut into slots that both know from the kernel's clock. In a slot for a 1 the sender is busy, or touches a line
 * of a page that both have mapped to read; in one for a 0 it sleeps. The receiver measures its own work in each slot.
 */
#include <stdint.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t at_ns) {
    struct timespec t = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
}

static void flush(const volatile char *line) {
#if defined(__x86_64__)
    __asm__ volatile("mfence\n clflush (%0)\n mfence" ::"r"(line) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("dc civac, %0\n dsb ish\n isb" ::"r"(line) : "memory");
#endif
}

static uint64_t ticks(void) {
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("mfence\n lfence\n rdtsc\n lfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("isb\n mrs %0, cntvct_el0\n isb" : "=r"(value)::"memory");
    return value;
#endif
}

/* The clock is asked once in many rounds: it is part of the work that is felt. */
static uint32_t work_until(uint64_t end_ns) {
    uint32_t rounds = 0;
    volatile uint32_t x = 1;
    do {
        for (int i = 0; i < 2000; i++) {
            x = x * 1664525u + 1013904223u;
        }
        rounds++;
    } while (now_ns() < end_ns);
    return rounds;
}

void send_by_load(const uint8_t *bits, int count, uint64_t start_ns, uint64_t slot_ns) {
    for (int i = 0; i < count; i++) {
        uint64_t end_ns = start_ns + (uint64_t)(i + 1) * slot_ns;
        if (bits[i]) {
            work_until(end_ns);
        } else {
            sleep_until(end_ns);
        }
    }
}

void hear_load(uint32_t *found, int count, uint64_t start_ns, uint64_t slot_ns) {
    sleep_until(start_ns);
    for (int i = 0; i < count; i++) {
        found[i] = work_until(start_ns + (uint64_t)(i + 1) * slot_ns);
    }
}

void send_by_cache(const volatile char *line, const uint8_t *bits, int count, uint64_t start_ns, uint64_t slot_ns) {
    sleep_until(start_ns - 1000000);
    while (now_ns() < start_ns) {
    }
    for (int i = 0; i < count; i++) {
        uint64_t end_ns = start_ns + (uint64_t)(i + 1) * slot_ns;
        do {
            if (bits[i]) {
                (void)*line;
            }
        } while (now_ns() < end_ns);
    }
}

/* How long a load takes while the line is in the cache, at its shortest of many. */
uint32_t quickest(const volatile char *line, int flushed) {
    uint32_t best = UINT32_MAX;
    for (int i = 0; i < 10000; i++) {
        if (flushed) {
            flush(line);
        }
        uint64_t before = ticks();
        (void)*line;
        uint32_t took = (uint32_t)(ticks() - before);
        best = took < best ? took : best;
    }
    return best;
}

/* found[i] is how many of 1000 loads in slot i were quicker than *threshold*: somebody else had touched the line. */
void hear_cache(const volatile char *line, uint32_t threshold, uint32_t *found, int count, uint64_t start_ns,
                uint64_t slot_ns) {
    sleep_until(start_ns - 1000000);
    while (now_ns() < start_ns) {
    }
    for (int i = 0; i < count; i++) {
        uint64_t end_ns = start_ns + (uint64_t)(i + 1) * slot_ns;
        uint32_t tries = 0, hits = 0;
        do {
            flush(line);
            for (int wait = 0; wait < 3; wait++) {
                now_ns();
            }
            uint64_t before = ticks();
            (void)*line;
            hits += (uint32_t)(ticks() - before) < threshold;
            tries++;
        } while (now_ns() < end_ns);
        found[i] = 1000 * hits / tries;
    }
}
