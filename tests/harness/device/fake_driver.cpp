/// Replaces the two libraries of the NVIDIA driver in tests. It reports driver release 1.2.3 and one GPU,
/// "Imaginary 9000".

#include <cstring>

// NOLINTBEGIN(readability-identifier-naming): NVIDIA chose these names
extern "C" {

int cuInit(unsigned) { return 0; }
int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = 70 + ordinal;
  return 0;
}
int cuDeviceGetName(char* name, int size, int device) {
  if (device != 70) return 101;
  std::strncpy(name, "Imaginary 9000", static_cast<std::size_t>(size));
  return 0;
}
int nvmlInit_v2() { return 0; }
int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  std::strncpy(version, "1.2.3", size);
  return 0;
}
int nvmlShutdown() { return 0; }
}
// NOLINTEND(readability-identifier-naming)
