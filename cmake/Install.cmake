# cmake --install installs the program, its libraries, the kernel sets of the build folder, the goldens, the list of
# known faults, the scripts that the program starts, the documents and the licence. lib/dsv4diff/ has the layout of the
# build folder (dsv4diff, lib/, sets/), so that the same relative paths work. bin/dsv4diff is a link to lib/dsv4diff/dsv4diff.

set(home "${CMAKE_INSTALL_LIBDIR}/dsv4diff")
if(TARGET dsv4diff)
  install(TARGETS dsv4diff RUNTIME DESTINATION "${home}")
  install(CODE "
    set(bin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    file(MAKE_DIRECTORY \"\${bin}\")
    file(CREATE_LINK \"../${home}/dsv4diff\" \"\${bin}/dsv4diff\" SYMBOLIC)")
endif()
foreach(plugin dsv4_cuda dsv4_bench)
  if(TARGET ${plugin})
    install(TARGETS ${plugin} LIBRARY DESTINATION "${home}/lib")
  endif()
endforeach()
install(FILES "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtvm_ffi.so" "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libcudart.so.13"
        DESTINATION "${home}/lib")
install(DIRECTORY "${DSV4_SETS_OUTPUT_DIR}" DESTINATION "${home}" OPTIONAL
        FILES_MATCHING PATTERN "*.so" PATTERN "manifest.json")
install(FILES known_faults.json DESTINATION "${home}")
# The Python program of `dsv4diff audit`, and the rules that map upstream's sources to ops.
install(PROGRAMS scripts/audit_jit.py DESTINATION "${home}/scripts")
install(DIRECTORY scripts/jit_audit scripts/sglang_set DESTINATION "${home}/scripts" FILES_MATCHING PATTERN "*.py")
# The Python program of `dsv4diff report`, and the JavaScript that its page contains.
install(PROGRAMS scripts/report.py DESTINATION "${home}/scripts")
install(DIRECTORY scripts/report_page DESTINATION "${home}/scripts" PATTERN "__pycache__" EXCLUDE)
install(FILES "${DSV4_DEPS_DIR}/plotly/package_data/plotly.min.js" DESTINATION "${home}/scripts/report_page" OPTIONAL)
install(DIRECTORY golden DESTINATION "${home}" OPTIONAL FILES_MATCHING PATTERN "*.h5" PATTERN "*.txt")
install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}" FILES_MATCHING PATTERN "*.md")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
