/* Commands as the TCG's "TPM 2.0 Library, Part 3" has them, written by hand: big-endian fields, one after the
 * other. The protocol is that of the TCG's "EFI Protocol Specification, Family 2.0". */
#include "tpm.h"

#include "port.h"

#include <efilib.h>

enum { DIGEST = 32, PCRS = 24, COMMAND_MAX = 80, RESPONSE_MAX = 256, HEADER = 10 };
enum { ST_NO_SESSIONS = 0x8001, ST_SESSIONS = 0x8002, ALG_SHA256 = 0x000b };
enum { CC_PCR_READ = 0x17e, CC_READ_CLOCK = 0x181, CC_PCR_EXTEND = 0x182 };
#define RS_PASSWORD 0x40000009u

struct tcg2 {
    void *get_capability, *get_event_log, *hash_log_extend;
    EFI_STATUS(EFIAPI *submit)(struct tcg2 *self, UINT32 n_in, UINT8 *in, UINT32 n_out, UINT8 *out);
};

static const EFI_GUID guid = { 0x607f766c, 0x7455, 0x42be, { 0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f } };
static UINT8 command[COMMAND_MAX], response[RESPONSE_MAX];
static UINTN size;
static char hex[2 * DIGEST + 1];
static UINT32 resets;

static void put(UINT32 value, UINTN n_bytes)
{
    while (n_bytes-- > 0)
        command[size++] = (UINT8)(value >> 8 * n_bytes);
}

static UINT32 get32(const UINT8 *at)
{
    return (UINT32)at[0] << 24 | (UINT32)at[1] << 16 | (UINT32)at[2] << 8 | at[3];
}

static void begin(UINT32 tag, UINT32 code)
{
    size = 0;
    put(tag, 2);
    put(0, 4);
    put(code, 4);
}

/* FALSE unless the TPM took it. */
static BOOLEAN submit(void)
{
    EFI_GUID wanted = guid;
    struct tcg2 *tcg2;
    UINTN n = size;
    size = 2;
    put((UINT32)n, 4);
    return !EFI_ERROR(BS->LocateProtocol(&wanted, NULL, (void **)&tcg2)) &&
           !EFI_ERROR(tcg2->submit(tcg2, (UINT32)n, command, sizeof response, response)) && get32(response + 6) == 0;
}

BOOLEAN tpm_extend(UINT32 pcr, UINT8 byte)
{
    begin(ST_SESSIONS, CC_PCR_EXTEND);
    put(pcr, 4);
    put(9, 4); /* bytes of the authorization: an empty password */
    put(RS_PASSWORD, 4);
    put(0, 2);
    put(0, 1);
    put(0, 2);
    put(1, 4); /* one digest */
    put(ALG_SHA256, 2);
    for (UINTN i = 0; i < DIGEST; i++)
        put(byte, 1);
    return pcr < PCRS && submit() && tpm_read(pcr);
}

BOOLEAN tpm_read(UINT32 pcr)
{
    static const char digits[] = "0123456789abcdef";
    enum { AT = HEADER + 4 + 10 + 4 + 2 }; /* behind counter, selection, number and length of digests */
    begin(ST_NO_SESSIONS, CC_PCR_READ);
    put(1, 4); /* one bank */
    put(ALG_SHA256, 2);
    put(PCRS / 8, 1);
    for (UINT32 i = 0; i < PCRS / 8; i++)
        put(pcr / 8 == i ? 1u << pcr % 8 : 0, 1);
    if (pcr >= PCRS || !submit() || get32(response + 2) != AT + DIGEST)
        return FALSE;
    for (UINTN i = 0; i < DIGEST; i++) {
        hex[2 * i] = digits[response[AT + i] >> 4];
        hex[2 * i + 1] = digits[response[AT + i] & 15];
    }
    return TRUE;
}

void tpm_report_pcr(void)
{
    report_text("pcr", hex);
}

BOOLEAN tpm_read_resets(void)
{
    begin(ST_NO_SESSIONS, CC_READ_CLOCK);
    if (!submit())
        return FALSE;
    resets = get32(response + HEADER + 16); /* behind two clocks */
    return TRUE;
}

void tpm_report_resets(void)
{
    report_int("resets", resets);
}
