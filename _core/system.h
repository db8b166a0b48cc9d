/* system.h: the threads of the system under one set of names, for threads_native.c and crew.c:
 * pthreads, or Win32. Everything is static. */
#ifndef CVL_SYSTEM_H
#define CVL_SYSTEM_H

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <process.h>
#include <windows.h>

typedef SRWLOCK sys_lock;
typedef CONDITION_VARIABLE sys_signal;
#define SYS_LOCK_INIT SRWLOCK_INIT
#define SYS_SIGNAL_INIT CONDITION_VARIABLE_INIT

static inline void sys_acquire(sys_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline void sys_release(sys_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void sys_wait(sys_signal *signal, sys_lock *lock)
{
    SleepConditionVariableSRW(signal, lock, INFINITE, 0);
}
static inline void sys_wake_all(sys_signal *signal) { WakeAllConditionVariable(signal); }

/* What a new thread runs, and how it is declared. */
typedef unsigned sys_result;
#define SYS_THREAD static sys_result __stdcall

/* Starts a thread that nobody waits for; returns whether there is one. */
static inline int sys_start(sys_result(__stdcall *run)(void *), void *argument, unsigned stack)
{
    HANDLE thread = (HANDLE)_beginthreadex(NULL, stack, run, argument, 0, NULL);
    return thread && CloseHandle(thread);
}

static inline void sys_at_fork(void (*child)(void)) { (void)child; }

static inline double sys_now(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (double)ticks.QuadPart / (double)per_second.QuadPart;
}

#else

#include <pthread.h>
#include <signal.h>
#include <time.h>

typedef pthread_mutex_t sys_lock;
typedef pthread_cond_t sys_signal;
#define SYS_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define SYS_SIGNAL_INIT PTHREAD_COND_INITIALIZER

static inline void sys_acquire(sys_lock *lock) { pthread_mutex_lock(lock); }
static inline void sys_release(sys_lock *lock) { pthread_mutex_unlock(lock); }
static inline void sys_wait(sys_signal *signal, sys_lock *lock) { pthread_cond_wait(signal, lock); }
static inline void sys_wake_all(sys_signal *signal) { pthread_cond_broadcast(signal); }

typedef void *sys_result;
#define SYS_THREAD static sys_result

/* The thread takes no signals: they are for those of the program. */
static inline int sys_start(sys_result (*run)(void *), void *argument, unsigned stack)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    pthread_attr_setstacksize(&attributes, stack);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = pthread_create(&thread, &attributes, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static inline void sys_at_fork(void (*child)(void)) { pthread_atfork(NULL, NULL, child); }

static inline double sys_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif

/* Tells the core that its thread waits. */
static inline void sys_relax(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
