/* The floor: libjpeg-turbo alone. floor PHOTO REPETITIONS
   Decodes at full size, row by row, as the recipe's path does for a 12-megapixel photo, and encodes three images of the
   thumbnails' sizes at quality 90, 4:2:0. Prints the CPU seconds of each part; the resizes are added by the caller. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <jpeglib.h>

static double cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1e-6 * (used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void decode(const unsigned char *data, unsigned long size, unsigned char *kept, size_t most) {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, data, size);
  jpeg_read_header(&info, TRUE);
  jpeg_start_decompress(&info);
  size_t stride = (size_t)info.output_width * info.output_components, at = 0;
  unsigned char *row = malloc(stride);
  while (info.output_scanline < info.output_height) {
    jpeg_read_scanlines(&info, &row, 1);
    if (at + stride <= most) { memcpy(kept + at, row, stride); at += stride; }
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  free(row);
}

static void encode(unsigned char *pixels, int width, int height) {
  struct jpeg_compress_struct info;
  struct jpeg_error_mgr errors;
  unsigned char *out = NULL;
  unsigned long size = 0;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &out, &size);
  info.image_width = width;
  info.image_height = height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 90, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    unsigned char *row = pixels + (size_t)info.next_scanline * width * 3;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  free(out);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  FILE *file = fopen(arguments[1], "rb");
  if (!file) return 1;
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  unsigned char *data = malloc(size);
  if (fread(data, 1, size, file) != (size_t)size) return 1;
  size_t most = 1500 * 1125 * 3;
  unsigned char *kept = calloc(most, 1);
  int repetitions = atoi(arguments[2]);
  decode(data, size, kept, most);
  double start = cpu();
  for (int i = 0; i < repetitions; i++) decode(data, size, kept, most);
  double decoded = cpu();
  for (int i = 0; i < repetitions; i++) {
    encode(kept, 1500, 1125);
    encode(kept, 400, 300);
    encode(kept, 200, 200);
  }
  double encoded = cpu();
  printf("%.6f %.6f\n", (decoded - start) / repetitions, (encoded - decoded) / repetitions);
  return 0;
}
