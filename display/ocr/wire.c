#include "display/ocr/wire.h"

#include <errno.h>
#include <string.h>

#define NUMBERS 5
#define RECORD_HEAD (NUMBERS * sizeof(int32_t) + 1)

bool ocr_wire_add(struct buf *out, const struct word *word)
{
    size_t n = strnlen(word->text, WORD_TEXT_MAX);
    const int32_t numbers[NUMBERS] = { word->rect.x, word->rect.y, word->rect.w, word->rect.h, word->confidence };
    uint8_t size = (uint8_t)n;
    if (out->size + RECORD_HEAD + n > OCR_REPLY_MAX)
        return false;
    buf_append(out, numbers, sizeof numbers);
    buf_append(out, &size, 1);
    return buf_append(out, word->text, n) == 0;
}

/* Returns the record's size, 0 when it is none. */
static size_t read_record(const uint8_t *at, size_t size, int width, int height, struct word *ret)
{
    int32_t numbers[NUMBERS];
    if (size < RECORD_HEAD)
        return 0;
    memcpy(numbers, at, sizeof numbers);
    size_t n = at[RECORD_HEAD - 1];
    *ret = (struct word){ .rect = { numbers[0], numbers[1], numbers[2], numbers[3] }, .confidence = numbers[4] };
    if (n == 0 || n > WORD_TEXT_MAX || size < RECORD_HEAD + n || !rect_fits(ret->rect, width, height) ||
        ret->confidence < 0 || ret->confidence > 100)
        return 0;
    memcpy(ret->text, at + RECORD_HEAD, n);
    return word_text_is_good(ret->text, n) ? RECORD_HEAD + n : 0;
}

int ocr_wire_read(const void *data, size_t size, uint32_t id, int width, int height, struct word **ret, int *ret_n)
{
    struct ocr_reply head;
    const uint8_t *at = data;
    if (size < sizeof head)
        return OCR_MORE;
    memcpy(&head, at, sizeof head);
    if (head.magic != OCR_MAGIC || head.id != id || head.n_words > WORDS_MAX || head.size > OCR_REPLY_MAX)
        return -EPROTO;
    size -= sizeof head;
    at += sizeof head;
    if (size < head.size)
        return OCR_MORE;
    auto_free struct word *list = head.n_words ? calloc(head.n_words, sizeof *list) : NULL;
    if (head.n_words && !list)
        return -ENOMEM;
    for (uint32_t i = 0; i < head.n_words; i++) {
        size_t used = read_record(at, size, width, height, &list[i]);
        if (used == 0)
            return -EPROTO;
        at += used;
        size -= used;
    }
    if (size != 0)
        return -EPROTO;
    *ret = steal_ptr(&list);
    *ret_n = (int)head.n_words;
    return 0;
}
