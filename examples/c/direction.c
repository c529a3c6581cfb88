/* Tells whether the line of text in a picture stands upright or upside down: PP-OCR's classifier, compiled by

     inkle compile ppocr_cls.onnx -o DIR

   Usage: direction PICTURE.ppm [THREADS] */
#include "pool.h"
#include "ppm.h"
#include "ppocr_cls.h"

#include <stdio.h>
#include <stdlib.h>

/* What the model was trained with. */
enum { COLOURS = 3, HEIGHT = 48, WIDTH = 192, CLASSES = 2 };

#define INPUT_BYTES (COLOURS * HEIGHT * WIDTH * (int64_t)sizeof(float))

/* Memory that starts where the model's code wants it; ends the program where there is none. */
static void *memory(int64_t bytes) {
    int64_t whole = (bytes / PPOCR_CLS_ALIGNMENT + 1) * PPOCR_CLS_ALIGNMENT;
    void *start = aligned_alloc(PPOCR_CLS_ALIGNMENT, (size_t)whole);
    if (start) return start;
    fprintf(stderr, "there are no %lld bytes of memory\n", (long long)whole);
    exit(1);
}

/* Ends the program where a call failed. */
static int64_t checked(const char *what, int64_t result) {
    if (result >= 0) return result;
    fprintf(stderr, "%s: %s (%lld)\n", what, ppocr_cls_message((int32_t)result), (long long)result);
    exit(1);
}

/* The picture as planes of blue, green and red from -1 to 1, as high as the model wants it, with grey to its right. */
static void put_planes(const struct picture *picture, float *planes) {
    float scale = (float)picture->height / HEIGHT;
    for (int colour = 0; colour < COLOURS; colour++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                float across = ((float)x + 0.5f) * scale - 0.5f, down = ((float)y + 0.5f) * scale - 0.5f;
                float inside = across <= (float)picture->width;
                *planes++ = inside * (ppm_at(picture, across, down, COLOURS - 1 - colour) / 127.5f - 1);
            }
}

int main(int count, char **words) {
    struct picture picture;
    if (count < 2 || count > 3 || ppm_read(words[1], &picture) != 0) {
        fprintf(stderr, "usage: direction PICTURE.ppm [THREADS]\n");
        return 2;
    }
    int threads = count > 2 ? atoi(words[2]) : 1;

    /* the sizes that the model leaves open: one picture, as high and wide as it should be */
    int64_t dims[PPOCR_CLS_DIMS];
    dims[PPOCR_CLS_DIM_X_0] = 1;
    dims[PPOCR_CLS_DIM_X_2] = HEIGHT;
    dims[PPOCR_CLS_DIM_X_3] = WIDTH;
    void *context = memory(PPOCR_CLS_CONTEXT_BYTES);
    checked("init", ppocr_cls_init(context, PPOCR_CLS_CONTEXT_BYTES, NULL, 0, PPOCR_CLS_ABI));
    int64_t scratch_bytes = checked("scratch_bytes", ppocr_cls_scratch_bytes(dims));
    void *scratch = memory(scratch_bytes);
    int64_t output_bytes[PPOCR_CLS_OUTPUTS];
    checked("output_bytes", ppocr_cls_output_bytes(dims, output_bytes));

    float *planes = memory(INPUT_BYTES), *chances = memory(output_bytes[0]);
    put_planes(&picture, planes);
    const void *inputs[PPOCR_CLS_INPUTS] = {planes};
    void *outputs[PPOCR_CLS_OUTPUTS] = {chances};

    struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
    if (pool) checked("pool_reserve", pool_reserve(pool, checked("thread_scratch_bytes", ppocr_cls_thread_scratch_bytes(dims))));
    int32_t result = ppocr_cls_run(context, inputs, outputs, dims, scratch, scratch_bytes, pool ? pool_for : NULL, pool);
    if (result != 0) {
        fprintf(stderr, "run: %s (%d)\n", ppocr_cls_message(result), result);
        return 1;
    }
    printf("upright %.6f, upside down %.6f\n", chances[0], chances[1]);

    pool_free(pool);
    free(picture.rgb);
    free(chances);
    free(planes);
    free(scratch);
    free(context);
    return 0;
}
