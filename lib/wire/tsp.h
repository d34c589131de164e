// tsp.h - the bodies of Titanic's services: 9/TSP, and Galleon's further ones.
//
// They are bodies of Majordomo requests and answers, the same in every dialect. Only
// this file knows which frame means what. Nothing is copied but ids and numbers: views
// are those of the request's body.
//
// Spec: rfc.zeromq.org/spec/9, docs/protocol/titanic.md

#ifndef GALLEON_TSP_H
#define GALLEON_TSP_H

#include "durable.h"

#define TSP_SERVICE_MAP(X)                                                                         \
    X(TSP_REQUEST, "titanic.request")                                                              \
    X(TSP_REPLY, "titanic.reply")                                                                  \
    X(TSP_CLOSE, "titanic.close")                                                                  \
    X(TSP_SUBMIT, "titanic.submit")                                                                \
    X(TSP_WAIT, "titanic.wait")                                                                    \
    X(TSP_LIST, "titanic.list")                                                                    \
    X(TSP_SHOW, "titanic.show")                                                                    \
    X(TSP_STATS, "titanic.stats")                                                                  \
    X(TSP_RETRY, "titanic.retry")                                                                  \
    X(TSP_CANCEL, "titanic.cancel")                                                                \
    X(TSP_PURGE, "titanic.purge")                                                                  \
    X(TSP_BACKUP, "titanic.backup")

enum tsp_service {
#define X(name, text) name,
    TSP_SERVICE_MAP(X)
#undef X
        TSP_SERVICES
};

enum tsp_status {
    TSP_OK = 200,
    TSP_PENDING = 300,
    TSP_UNKNOWN = 400, // also: malformed
    TSP_FORBIDDEN = 403,
    TSP_CONFLICT = 409,
    TSP_TOO_LARGE = 413,
    TSP_BUSY = 429,
    TSP_ERROR = 500
};

enum { TSP_FIELDS_BYTES_MAX = 4096, TSP_FILTER_BYTES_MAX = 4096, TSP_NAME_BYTES_MAX = 64 };

// What was asked. What does not belong to its service is not set.
struct tsp_request {
    enum tsp_service service;

    // REQUEST, SUBMIT
    struct view target;
    struct view fields; // SUBMIT: as they came; tsp_fields_kept says what goes on to the worker
    struct view key;
    uint64_t not_before_ms; // after acceptance
    uint64_t deadline_ms;   // after acceptance; 0: none
    uint32_t attempts;      // 0: the default
    size_t body_from;       // the target's body is the frames of the body from this one on

    struct request_id id; // REPLY, CLOSE, WAIT
    uint64_t wait_ms;     // WAIT

    struct durable_filter filter; // LIST, SHOW, STATS, RETRY, CANCEL, PURGE
    struct view reason;           // RETRY, CANCEL, PURGE
    struct view name;             // BACKUP: the copy's; empty: titanic chooses

    // The name in filter.service where it was escaped; the view points in here then.
    uint8_t service_name[256];
};

// tsp_service_of finds the service by its name; TSP_SERVICES where there is none.
enum tsp_service tsp_service_of(struct view name);
const char *tsp_service_name(enum tsp_service service);

// tsp_status_of is the code that an answer's first frame begins with, 0 where it is none.
// 9/TSP allows text after it ("200 OK"), which nobody may rely on.
uint32_t tsp_status_of(struct view frame);

// tsp_read reads the frames of a request of this service: TSP_OK, or the code to be
// answered (400), and *why_out, for people. What is no id is an unknown one: titanic.close
// answers it 200.
enum tsp_status tsp_read(enum tsp_service service, const struct view *frames, size_t count,
                         struct tsp_request *request_out, const char **why_out);

// tsp_fields_kept copies fields without the lines that only Titanic or a broker may say
// (titanic-id, user, epoch) and without those that were for Titanic (not-before-ms,
// deadline-ms, attempts); returns the bytes written, at most fields.size. The key's line stays,
// and so does text without LF at the end: put lines of your own in front.
size_t tsp_fields_kept(uint8_t *to, struct view fields);

// An id's text is 32 hex digits, or 36 characters with dashes; it is written in upper case.
bool request_id_read(struct view text, struct request_id *id_out);
void request_id_write(const struct request_id *id, uint8_t text_out[REQUEST_ID_TEXT_BYTES]);
bool request_id_equals(const struct request_id *a, const struct request_id *b);
// request_key_is_before: a key of our own form, the digits of an id, carries its time.
bool request_key_is_before(struct view key, uint64_t ms);
// request_id_ms is when it was made; request_id_compare orders as time does.
uint64_t request_id_ms(const struct request_id *id);
int request_id_compare(const struct request_id *a, const struct request_id *b);

// ---- tables: UTF-8, LF, TAB, the first line names the columns ---------------------

// Each writes the lines that fit into `to`, never half a one, and returns the bytes that all
// of it would take: first with room 0, then with as much as it said.
size_t tsp_write_list(uint8_t *to, size_t room, const struct durable_rows *rows, uint64_t now_ms);
size_t tsp_write_show(uint8_t *to, size_t room, const struct durable_rows *rows, uint64_t now_ms);

struct tsp_gauge { // a line of titanic.stats that the store does not know: for the whole store
    const char *name;
    uint64_t value;
    const char *text; // in place of the value, where set
};

// tsp_write_stats: the gauges first, then the counts in their order; NULL: there are none. out_of
// says how many requests of a service are out, of the whole store where the name is empty; NULL:
// none are.
size_t tsp_write_stats(uint8_t *to, size_t room, const struct durable_rows *rows,
                       const struct tsp_gauge *gauges, size_t gauge_count,
                       uint64_t (*out_of)(void *context, struct view service), void *context,
                       uint64_t now_ms);

#endif
