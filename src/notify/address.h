/*-------------------------------------------------------------------------
 *
 * address.h
 *	  The addresses of contacts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_ADDRESS_H
#define PGMAINT_NOTIFY_ADDRESS_H

typedef enum AddressKind
{
	ADDRESS_UNKNOWN,
	ADDRESS_WEBHOOK,
	ADDRESS_MAIL,
	ADDRESS_CHANNEL
} AddressKind;

/* prefixes of the addresses of mail and of channels */
#define MAIL_PREFIX "mailto:"
#define CHANNEL_PREFIX "notify:"

extern AddressKind address_kind(const char *address);
extern char *address_complaint(const char *address);
extern bool is_mail_address(const char *text);
extern bool is_relay_url(const char *url);
extern bool leads_to_this_machine(const char *url);

#endif /* PGMAINT_NOTIFY_ADDRESS_H */
