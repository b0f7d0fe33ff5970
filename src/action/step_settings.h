/*-------------------------------------------------------------------------
 *
 * step_settings.h
 *	  The settings that a step's options bring its tasks' sessions to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STEP_SETTINGS_H
#define PGMAINT_STEP_SETTINGS_H

#include "utils/jsonb.h"

extern void check_settings(JsonbValue *settings);
extern void apply_settings(Jsonb *given);

#endif /* PGMAINT_STEP_SETTINGS_H */
