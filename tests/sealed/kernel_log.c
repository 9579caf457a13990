/* What a captured process on x86-64 can do to have the kernel write bytes of its choice into the kernel's log. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

static sigjmp_buf back;

static void catch_it(int number) {
    (void)number;
    siglongjmp(back, 1);
}

void prepare(void) {
    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = catch_it, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&other, 0);
    sigaction(SIGSEGV, &action, 0);
}

/* Looks at the vsyscall page, which logs four registers, and lives on. */
void look(uint64_t sp, uint64_t ax, uint64_t si, uint64_t di) {
    if (sigsetjmp(back, 1) == 0) {
        register uint64_t r8 __asm__("r8") = sp;
        register uint64_t r9 __asm__("r9") = 0xffffffffff600000ULL;
        __asm__ volatile("mov %%r8, %%rsp\n mov (%%r9), %%r10" ::"r"(r8), "r"(r9), "a"(ax), "S"(si), "D"(di)
                         : "r10", "memory");
    }
}

/* Ends by a fault at an address of its choice, with a stack pointer of its choice, both of which are logged. */
void crash(uint64_t sp, uint64_t ip) {
    signal(SIGSEGV, SIG_DFL);
    __asm__ volatile("mov %0, %%rsp\n jmp *%1" ::"r"(sp), "r"(ip));
}
