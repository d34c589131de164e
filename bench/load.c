// load.c - the load generator of the benchmark.
//
// Clients and workers in one process, against a relay or a broker in another.
// After a warm-up it counts, for a fixed time or a fixed number of requests, the
// answers that came back right; then the clients take what is still in flight, and
// what does not come is lost. One line says it all, as key=value.
//
// Exit codes: 0, or 1 where anything was lost or wrong, or 2 for a wrong command.

#include "load.h"

#include "load_bystanders.h"
#include "load_options.h"
#include "load_threads.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    SOCKETS_MAX = 20000,
    LOOK_US = 2000, // how often requests are counted where their number decides
    NS_PER_S = 1000000000
};

void
load_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1); // other threads are in the middle of something
}

void *
load_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL)
        load_fail("out of memory");
    return memory;
}

uint64_t
load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

// ---- marks: what has been done and used so far --------------------------------------

struct mark {
    uint64_t at_ns;
    uint64_t done;
    double load_cpu_s;
    double server_cpu_s; // 0 where it is not known
};

static double
seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double
server_cpu_s(uint32_t pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = pid == 0 ? NULL : fopen(path, "r");
    if (file == NULL)
        return 0;
    // After the name, which may hold anything: state and ten numbers, then ours.
    const char *rest = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
    if (rest != NULL)
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t
done_by(const struct load_crew *clients)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < clients->count; i++)
        done += atomic_load_explicit(&clients->clients[i].window.done, memory_order_relaxed);
    return done;
}

static struct mark
mark_now(const struct load_crew *clients)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct mark){.at_ns = load_now_ns(),
                         .done = done_by(clients),
                         .load_cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
                         .server_cpu_s = server_cpu_s(clients->run->options->server_pid)};
}

// ---- measuring and reporting --------------------------------------------------------------

// wait_for_end returns when the time is over, or the requests are answered; a broker
// that answers nothing any more ends it too.
static void
wait_for_end(const struct load_crew *clients, const struct mark *begin)
{
    const struct load_options *options = clients->run->options;
    uint64_t last_done = begin->done;
    uint64_t last_ns = begin->at_ns;
    if (options->requests == 0) {
        usleep(options->measure_ms * 1000);
        return;
    }
    while (last_done - begin->done < options->requests) {
        usleep(LOOK_US);
        uint64_t done = done_by(clients);
        if (done != last_done)
            last_ns = load_now_ns();
        else if (load_now_ns() - last_ns > LOAD_GRACE_MS * 1000000ull)
            return;
        last_done = done;
    }
}

// report prints the line; false where not all went well.
static bool
report(const struct load_crew *clients, const struct load_bystanders *bystanders,
       const struct mark *begin, const struct mark *end)
{
    const struct load_options *options = clients->run->options;
    double seconds = (double)(end->at_ns - begin->at_ns) / 1e9;
    struct load_histogram *latencies = load_allocate(sizeof *latencies);
    uint64_t lost = 0, wrong = 0, failed = 0, messages = 0;
    for (uint32_t i = 0; i < clients->count; i++) {
        const struct load_window *window = &clients->clients[i].window;
        load_histogram_add(latencies, &window->latencies);
        lost += load_window_in_flight(window);
        wrong += window->wrong;
        failed += window->failed;
        messages += window->messages;
    }
    uint64_t per_message = messages == 0 ? 0 : 100 * done_by(clients) / messages;
    printf("dialect=%s clients=%u workers=%u window=%u credit=%u body=%u ", options->dialect->name,
           options->clients, options->workers, options->window, options->credit,
           options->body_bytes);
    printf("seconds=%.3f requests=%llu rate=%.0f p50_us=%.1f p99_us=%.1f ", seconds,
           (unsigned long long)(end->done - begin->done),
           (double)(end->done - begin->done) / seconds,
           (double)load_histogram_at(latencies, 0.50) / 1e3,
           (double)load_histogram_at(latencies, 0.99) / 1e3);
    printf("lost=%llu wrong=%llu failed=%llu disturbed=%llu ", (unsigned long long)lost,
           (unsigned long long)wrong, (unsigned long long)failed,
           (unsigned long long)(bystanders->answered + bystanders->lost));
    printf("load_cpu=%.2f server_cpu=%.2f per_message=%.2f\n",
           (end->load_cpu_s - begin->load_cpu_s) / seconds,
           (end->server_cpu_s - begin->server_cpu_s) / seconds, (double)per_message / 100);
    bool is_well = lost + wrong + failed + bystanders->answered + bystanders->lost == 0 &&
                   end->done > begin->done;
    free(latencies);
    return is_well;
}

static bool
measure(struct load_run *run)
{
    struct load_crew workers, clients;
    struct load_bystanders bystanders;
    load_workers_begin(&workers, run);
    load_bystanders_begin(&bystanders, run);
    load_clients_begin(&clients, run);

    usleep(run->options->warmup_ms * 1000);
    struct mark begin = mark_now(&clients);
    atomic_store(&run->is_measuring, true);
    wait_for_end(&clients, &begin);
    struct mark end = mark_now(&clients);
    atomic_store(&run->is_measuring, false);

    atomic_store(&run->is_stopping, true);
    load_crew_join(&clients);
    atomic_store(&run->is_ending, true);
    load_crew_join(&workers);
    load_bystanders_end(&bystanders);
    bool is_well = report(&clients, &bystanders, &begin, &end);
    load_crew_release(&clients);
    load_crew_release(&workers);
    return is_well;
}

int
main(int argc, char **argv)
{
    struct load_options options;
    load_options_parse(&options, argc, argv);
    struct load_run run = {.options = &options, .context = zmq_ctx_new()};
    zmq_ctx_set(run.context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    sem_init(&run.accepted, 0, 0);
    bool is_well = measure(&run);
    zmq_ctx_term(run.context);
    sem_destroy(&run.accepted);
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
