// Which screen an address shows.
import type { Context, Screen } from "../context.js";
import type { ScreenName } from "../route.js";
import { apps } from "./apps.js";
import { cluster } from "./cluster.js";
import { configuration } from "./configuration.js";
import { group } from "./group.js";
import { groups, users } from "./names.js";
import { operations } from "./operations.js";
import { overview } from "./overview.js";
import { push } from "./push.js";
import { session } from "./session.js";
import { sessions } from "./sessions.js";
import { user } from "./user.js";

const SCREENS: Record<ScreenName, (context: Context) => Screen> = { overview, apps, groups, group, users, user, sessions, session, push, operations, configuration, cluster };

export const screenOf = (context: Context): Screen => SCREENS[context.route.screen](context);
