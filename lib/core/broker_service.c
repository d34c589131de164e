// broker_service.c - services come with a worker or a request that waits, and go
// when they have neither.

#include "broker_state.h"

struct service *
broker_service_find(struct broker_core *self, struct view name)
{
    if (self->last_service != NULL && view_equals(service_name(self->last_service), name))
        return self->last_service;
    uint64_t hash = siphash_map(&self->map_key, name);
    for (struct map_node *node = map_first(&self->services, hash); node != NULL;
         node = map_next(node)) {
        struct service *service = list_object(node, struct service, in_services);
        if (view_equals(service_name(service), name)) {
            self->last_service = service;
            return service;
        }
    }
    return NULL;
}

static void
apply_settings(struct broker_core *self, struct service *service)
{
    const struct broker_config *config = &self->config;
    service->attempts = config->attempts;
    service->requests_max = config->service_requests_max;
    for (size_t i = 0; i < config->service_count; i++) {
        const struct broker_service_config *settings = &config->services[i];
        if (!view_equals(settings->name, service_name(service)))
            continue;
        if (settings->attempts != 0)
            service->attempts = settings->attempts;
        if (settings->requests_max != 0)
            service->requests_max = settings->requests_max;
        service->limit_ns = (uint64_t)settings->limit_ms * NS_PER_MS;
        service->may_resume = settings->may_resume;
    }
}

struct service *
broker_service_get(struct broker_core *self, struct view name)
{
    struct service *service = broker_service_find(self, name);
    if (service != NULL)
        return service;
    service = slab_take(&self->service_slab);
    if (service == NULL)
        return NULL;
    *service = (struct service){.name_bytes = (uint8_t)name.size};
    memcpy(service->name, name.data, name.size);
    list_init(&service->queue);
    list_init(&service->ready);
    list_init(&service->taken);
    list_node_init(&service->in_work);
    apply_settings(self, service);
    map_insert(&self->services, &service->in_services, siphash_map(&self->map_key, name));
    list_append(&self->service_list, &service->in_list);
    self->stats.services++;
    return service;
}

void
broker_service_settle(struct broker_core *self, struct service *service)
{
    if (service->is_buried)
        return;
    bool has_work = !list_is_empty(&service->queue) && !list_is_empty(&service->ready);
    bool is_on = list_node_is_linked(&service->in_work);
    if (has_work && !is_on) {
        size_t waiting = service->queue.size;
        service->looks_left = waiting < SERVICE_LOOKS_MAX ? waiting : SERVICE_LOOKS_MAX;
        list_append(&self->work, &service->in_work);
    }
    if (!has_work && is_on)
        list_remove(&self->work, &service->in_work);

    if (service->queue.size > 0 || service->out > 0 || service_workers(service) > 0 ||
        service->leaving > 0)
        return;
    if (self->drain_at == service) {
        struct list_node *next = list_next(&self->service_list, &service->in_list);
        self->drain_at = next == NULL ? NULL : list_object(next, struct service, in_list);
    }
    if (self->last_service == service)
        self->last_service = NULL;
    service->is_buried = true;
    map_remove(&self->services, &service->in_services);
    list_remove(&self->service_list, &service->in_list);
    list_append(&self->service_graveyard, &service->in_list);
    self->stats.services--;
}

void
broker_service_sweep(struct broker_core *self)
{
    struct list_node *node;
    while ((node = list_take(&self->service_graveyard)) != NULL)
        slab_give(&self->service_slab, list_object(node, struct service, in_list));
}
