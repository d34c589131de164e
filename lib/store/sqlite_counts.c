// sqlite_counts.c - services by number, and how many requests each has in which state.
//
// All services are in memory, some bytes each, and so is what they count. The table has the
// same, as of the last commit, so that nothing has to be counted when a store is opened. A
// service's number is never given to another name while the process lives.

#include "sqlite_store.h"

#include "must.h"

#include <stdlib.h>
#include <sys/random.h>

static struct service *
add_service(struct sqlite_store *self, uint32_t id, struct view name)
{
    must(id < SERVICES_MAX && self->services[id] == NULL);
    struct service *service = calloc(1, sizeof *service + name.size);
    if (service == NULL)
        return NULL;
    service->id = id;
    service->name_bytes = name.size;
    memcpy(service->name, name.data, name.size);
    map_insert(&self->services_by_name, &service->by_name, siphash_map(&self->services_key, name));
    self->services[id] = service;
    if (id >= self->services_end)
        self->services_end = id + 1;
    return service;
}

static int
read_services(struct sqlite_store *self)
{
    static const char sql[] = "SELECT id, name, a, b, c, d, e FROM service JOIN tally USING (id)";
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        code = SQLITE_OK;
        sqlite3_int64 id = sqlite3_column_int64(statement, 0);
        const void *text = sqlite3_column_blob(statement, 1);
        struct view name = view_of(text, (size_t)sqlite3_column_bytes(statement, 1));
        if (id < 1 || id >= SERVICES_MAX || self->services[id] != NULL || name.size == 0 ||
            name.size > SERVICE_NAME_BYTES_MAX || sqlite_counts_find(self, name) != NULL) {
            code = SQLITE_CORRUPT;
            break;
        }
        struct service *service = add_service(self, (uint32_t)id, name);
        if (service == NULL) {
            code = SQLITE_NOMEM;
            break;
        }
        service->is_named = true;
        for (int state = 0; state < DURABLE_STATES; state++) {
            service->counts[state] = (uint64_t)sqlite3_column_int64(statement, 2 + state);
            service->committed[state] = service->counts[state];
            self->totals[state] += service->counts[state];
        }
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int
sqlite_counts_init(struct sqlite_store *self)
{
    self->services = calloc(SERVICES_MAX, sizeof(struct service *));
    self->services_memory = calloc(1, map_bytes(SERVICES_MAX));
    if (self->services == NULL || self->services_memory == NULL)
        return SQLITE_NOMEM;
    if (getrandom(&self->services_key, sizeof self->services_key, 0) !=
        (ssize_t)sizeof self->services_key)
        return SQLITE_IOERR;
    map_init(&self->services_by_name, SERVICES_MAX, self->services_memory);
    self->services_end = 1; // 0 is the tally of the whole
    return read_services(self);
}

void
sqlite_counts_release(struct sqlite_store *self)
{
    for (uint32_t id = 0; id < self->services_end; id++)
        free(self->services[id]);
    free(self->services);
    free(self->services_memory);
}

struct service *
sqlite_counts_find(const struct sqlite_store *self, struct view name)
{
    uint64_t hash = siphash_map(&self->services_key, name);
    struct map_node *node = map_first(&self->services_by_name, hash);
    for (; node != NULL; node = map_next(node)) {
        struct service *service = list_object(node, struct service, by_name);
        if (view_equals(view_of(service->name, service->name_bytes), name))
            return service;
    }
    return NULL;
}

struct service *
sqlite_counts_service(struct sqlite_store *self, struct view name)
{
    must(name.size > 0 && name.size <= SERVICE_NAME_BYTES_MAX);
    struct service *service = sqlite_counts_find(self, name);
    if (service == NULL && self->services_end < SERVICES_MAX)
        service = add_service(self, self->services_end, name);
    return service;
}

struct service *
sqlite_counts_at(const struct sqlite_store *self, sqlite3_int64 id)
{
    return id >= 0 && id < self->services_end ? self->services[id] : NULL;
}

static void
note_change(struct sqlite_store *self, struct service *service)
{
    if (service->is_changed)
        return;
    service->is_changed = true;
    service->next_changed = self->changed;
    self->changed = service;
}

void
sqlite_counts_add(struct sqlite_store *self, struct service *service, enum durable_state state)
{
    service->counts[state]++;
    self->totals[state]++;
    note_change(self, service);
}

void
sqlite_counts_subtract(struct sqlite_store *self, struct service *service, enum durable_state state)
{
    // A count below what the rows say is the file's fault, not ours.
    service->counts[state] -= service->counts[state] > 0;
    self->totals[state] -= self->totals[state] > 0;
    note_change(self, service);
}

static int
name_service(struct sqlite_store *self, const struct service *service)
{
    sqlite3_stmt *name = statement_of(self, STATEMENT_NAME_SERVICE);
    sqlite3_bind_int64(name, 1, service->id);
    sqlite3_bind_blob(name, 2, service->name, (int)service->name_bytes, SQLITE_STATIC);
    return sqlite_store_run(self, STATEMENT_NAME_SERVICE);
}

int
sqlite_counts_write(struct sqlite_store *self)
{
    int code = SQLITE_OK;
    for (struct service *one = self->changed; one != NULL; one = one->next_changed) {
        if (!one->is_named)
            code = name_service(self, one);
        if (code == SQLITE_OK)
            code = sqlite_store_tally(self, one->id, one->counts, NULL);
        if (code != SQLITE_OK)
            break;
    }
    return code;
}

static struct service *
take_changed(struct sqlite_store *self)
{
    struct service *service = self->changed;
    if (service != NULL) {
        self->changed = service->next_changed;
        service->is_changed = false;
    }
    return service;
}

void
sqlite_counts_commit(struct sqlite_store *self)
{
    struct service *service;
    while ((service = take_changed(self)) != NULL) {
        memcpy(service->committed, service->counts, sizeof service->counts);
        service->is_named = true;
    }
}

void
sqlite_counts_rollback(struct sqlite_store *self)
{
    struct service *service;
    while ((service = take_changed(self)) != NULL) {
        for (int state = 0; state < DURABLE_STATES; state++)
            self->totals[state] += service->committed[state] - service->counts[state];
        memcpy(service->counts, service->committed, sizeof service->counts);
    }
}
