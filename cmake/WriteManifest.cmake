# Writes a set's manifest at build time (cmake -P). The revision in the manifest is the git revision of the source tree
# from which the modules were built.
set(revision "unknown")
find_program(git git)
if(git)
  execute_process(COMMAND "${git}" -C "${SOURCE_DIR}" describe --always --dirty=-modified --abbrev=12 --exclude "*"
                  OUTPUT_VARIABLE described RESULT_VARIABLE status ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(status EQUAL 0 AND described)
    set(revision "${described}")
  endif()
endif()
execute_process(COMMAND "${TOOL}" "${RECIPE}" "${FOLDER}" "${revision}" COMMAND_ERROR_IS_FATAL ANY)
