// broker_log.h - a line for each fact that a broker_core tells.

#ifndef GALLEON_BROKER_LOG_H
#define GALLEON_BROKER_LOG_H

#include "broker_core.h"

// broker_log_majordomo and broker_log_pirate are tracers; the context is not looked at. A
// pirate's lines have codes of their own, and name no service.
void broker_log_majordomo(void *context, const struct broker_trace *trace);
void broker_log_pirate(void *context, const struct broker_trace *trace);

#endif
