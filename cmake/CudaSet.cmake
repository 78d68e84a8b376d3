# The 'cuda' set: kernels/<family>/<op>.cu, compiled by nvcc. CMake's CUDA language is not used, because it would look
# for a CUDA toolkit in every configuration, and would decide how to link the CUDA runtime. So nvcc is called directly.

# If the machine does not have a new enough nvcc, scripts/setup unpacks one into DSV4_CUDA_ROOT.
find_program(DSV4_NVCC nvcc HINTS "${DSV4_CUDA_ROOT}" ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(NOT DSV4_NVCC)
  message(FATAL_ERROR "DSV4_CUDA is on, but nvcc was found neither in ${DSV4_CUDA_ROOT} nor on PATH.\n"
                      "Run scripts/setup --deps-only --cuda, or name it with -DDSV4_NVCC=/path/to/nvcc.")
endif()
execute_process(COMMAND "${DSV4_NVCC}" --version OUTPUT_VARIABLE nvcc_version COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "V([0-9.]+)" nvcc_version "${nvcc_version}")
set(nvcc_version "${CMAKE_MATCH_1}")
if(nvcc_version VERSION_LESS 13.0)
  message(FATAL_ERROR "${DSV4_NVCC} is version ${nvcc_version}; the kernels need 13.0 or newer, the release LibTorch is "
                      "built with. Run scripts/setup --deps-only --cuda and pass -DDSV4_NVCC=${DSV4_CUDA_ROOT}/bin/nvcc.")
endif()

set(cuda_flags -std=c++20 -O3 -lineinfo -Werror all-warnings -Xcompiler=-fPIC)
foreach(flag IN LISTS DSV4_MODULE_FLAGS)
  list(APPEND cuda_flags -Xcompiler=${flag})
endforeach()
set(arch_names "")
foreach(arch IN LISTS DSV4_CUDA_ARCHITECTURES)
  list(APPEND cuda_flags -gencode=arch=compute_${arch},code=sm_${arch})
  list(APPEND arch_names sm_${arch})
endforeach()
list(JOIN arch_names " " arch_names)
set(cuda_includes -I "${PROJECT_SOURCE_DIR}" -isystem "${DSV4_DEPS_DIR}/tvm_ffi/include")

file(MAKE_DIRECTORY "${DSV4_SETS_OUTPUT_DIR}/cuda" "${PROJECT_BINARY_DIR}/cuda-objects")
foreach(source IN LISTS DSV4_KERNEL_SOURCES)
  cmake_path(GET source STEM op)
  set(object "${PROJECT_BINARY_DIR}/cuda-objects/${op}.o")
  set(module "${DSV4_SETS_OUTPUT_DIR}/cuda/${op}.so")
  add_custom_command(OUTPUT "${object}"
                     COMMAND ${DSV4_CCACHE} "${DSV4_NVCC}" -ccbin "${CMAKE_CXX_COMPILER}" ${cuda_flags} ${cuda_includes}
                             -MD -MF "${object}.d" -c "${source}" -o "${object}"
                     DEPENDS "${source}" DEPFILE "${object}.d" VERBATIM COMMENT "nvcc ${op} (${arch_names})")
  # The host linker is enough, because no kernel needs device linking. The CUDA runtime is linked as a shared library,
  # so that modules, LibTorch and the harness use the same streams and see the same errors.
  add_custom_command(OUTPUT "${module}"
                     COMMAND "${CMAKE_CXX_COMPILER}" -shared "${object}" -o "${module}"
                             "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtvm_ffi.so"
                             "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libcudart.so.13"
                             "-Wl,-rpath,$ORIGIN/../../lib"
                     DEPENDS "${object}" VERBATIM COMMENT "Module cuda/${op}.so")
  dsv4_note_module(cuda "${source}" "${module}" FLAGS ${cuda_flags})
endforeach()
if(DSV4_KERNEL_SOURCES)
  dsv4_finish_set(cuda DEVICE cuda COMPILER "nvcc ${nvcc_version}, ${DSV4_COMPILER_NAME}" ARCH "${arch_names}")
endif()
