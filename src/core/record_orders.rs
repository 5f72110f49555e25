//! Orders to record the next session of a user, and how many records there are: all reactors share both. The orders are looked at
//! when a session opens, where there are any, and never on the way of a message.

use crate::dispatch::{CommandError, ErrorCode};
use crate::session::{AppId, Name};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug, Default)]
pub struct RecordOrders {
    /// Records, and orders for one: an order has a place for the record that it leads to.
    places: AtomicUsize,
    /// Whether there is any order: most servers have none, and nobody waits for the lock there.
    any: AtomicBool,
    orders: Mutex<HashMap<(u16, Name), Order>>,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The last so many events are to be kept.
    pub frames: usize,
    /// It holds until then, in milliseconds of the server's clock.
    pub until_ms: u64,
}

/// The orders on their way to another process.
#[derive(Debug, Encode, Decode)]
pub struct CarriedRecordOrders(#[n(0)] Vec<CarriedOrder>);

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedOrder {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Box<str>,
    #[n(2)]
    frames: u32,
    #[n(3)]
    until_ms: u64,
}

impl RecordOrders {
    /// Takes a place for a record, of which there are `most`, at `now_ms`.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] where all are taken.
    pub fn take_place(&self, most: usize, now_ms: u64) -> Result<(), CommandError> {
        // What is over makes room.
        self.expire(&mut self.lock(), now_ms);
        self.try_place(most)
    }

    fn try_place(&self, most: usize) -> Result<(), CommandError> {
        let take = |places: usize| (places < most).then_some(places + 1);
        let taken = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| {
            let message =
                format!("there are {most} records and orders for one: stop some, or raise limits.records");
            CommandError::new(ErrorCode::RateLimited, message)
        })
    }

    /// Takes places that are known to be there: those of records of another process.
    pub fn take_over(&self, places: usize) {
        self.places.fetch_add(places, Ordering::Relaxed);
    }

    /// Gives so many places back.
    pub fn give_back(&self, places: usize) {
        self.places.fetch_sub(places, Ordering::Relaxed);
    }

    /// The next session of the user is recorded. One that was ordered before is replaced.
    ///
    /// # Errors
    /// As for [`RecordOrders::take_place`].
    pub fn add(
        &self,
        app: AppId,
        user: &Name,
        order: Order,
        most: usize,
        now_ms: u64,
    ) -> Result<(), CommandError> {
        let key = (app.0, user.clone());
        let mut orders = self.lock();
        self.expire(&mut orders, now_ms);
        if !orders.contains_key(&key) {
            self.try_place(most)?;
        }
        orders.insert(key, order);
        self.any.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes the order back. Returns whether there was one.
    pub fn remove(&self, app: AppId, user: &Name, now_ms: u64) -> bool {
        let removed = self.take(app, user, now_ms).is_some();
        if removed {
            self.give_back(1);
        }
        removed
    }

    /// A session of the user opens at `now_ms`: the order for it, if there is one. Its place is the record's.
    pub fn take(&self, app: AppId, user: &Name, now_ms: u64) -> Option<Order> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut orders = self.lock();
        self.expire(&mut orders, now_ms);
        let order = orders.remove(&(app.0, user.clone()));
        self.any.store(!orders.is_empty(), Ordering::Release);
        order
    }

    fn expire(&self, orders: &mut HashMap<(u16, Name), Order>, now_ms: u64) {
        let before = orders.len();
        orders.retain(|_, order| now_ms < order.until_ms);
        self.give_back(before - orders.len());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u16, Name), Order>> {
        // What a holder that panicked left is whole: every change is one call.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As they are carried; `None` where there are none.
    pub fn carry(&self) -> Option<CarriedRecordOrders> {
        let orders = self.lock();
        let carried = orders.iter().map(|((app, user), order)| CarriedOrder {
            app: *app,
            user: user.as_str().into(),
            frames: order.frames as u32,
            until_ms: order.until_ms,
        });
        let carried: Vec<_> = carried.collect();
        (!carried.is_empty()).then_some(CarriedRecordOrders(carried))
    }

    /// Goes on from those of another process.
    ///
    /// # Errors
    /// A user is none.
    pub fn go_on_from(&self, carried: CarriedRecordOrders) -> Result<(), InvalidState> {
        let mut orders = self.lock();
        for CarriedOrder { app, user, frames, until_ms } in carried.0 {
            let user = Name::new(&user).map_err(|error| InvalidState::new(error.to_string()))?;
            let order = Order { frames: frames as usize, until_ms };
            if orders.insert((app, user), order).is_none() {
                self.take_over(1);
            }
        }
        self.any.store(!orders.is_empty(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(1);

    fn user(name: &str) -> Name {
        Name::new(name).unwrap()
    }

    fn until(until_ms: u64) -> Order {
        Order { frames: 5, until_ms }
    }

    #[test]
    fn an_order_is_for_one_session_and_its_place_is_that_of_the_record() {
        let orders = RecordOrders::default();
        assert_eq!(orders.take(APP, &user("ada"), 0), None);
        orders.add(APP, &user("ada"), until(100), 1, 0).unwrap();
        assert_eq!(orders.take(AppId(0), &user("ada"), 1), None, "it is one of the other app");
        assert_eq!(orders.take(APP, &user("ada"), 1), Some(until(100)));
        assert_eq!(orders.take(APP, &user("ada"), 1), None);
        assert_eq!(orders.take_place(1, 1).unwrap_err().code, ErrorCode::RateLimited);
        orders.give_back(1);
        assert!(orders.take_place(1, 1).is_ok());
    }

    #[test]
    fn the_same_order_again_takes_no_other_place_and_one_that_is_over_makes_room() {
        let orders = RecordOrders::default();
        orders.add(APP, &user("ada"), until(100), 1, 0).unwrap();
        orders.add(APP, &user("ada"), until(200), 1, 50).unwrap();
        let refused = orders.add(APP, &user("bob"), until(300), 1, 199).unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        orders.add(APP, &user("bob"), until(300), 1, 200).unwrap();
        assert_eq!(orders.take(APP, &user("ada"), 200), None);
        assert!(orders.remove(APP, &user("bob"), 200) && !orders.remove(APP, &user("bob"), 200));
        assert!(orders.take_place(1, 200).is_ok(), "its place is free");
    }

    #[test]
    fn orders_go_on_in_another_process() {
        let orders = RecordOrders::default();
        assert!(orders.carry().is_none());
        orders.add(APP, &user("ada"), until(100), 9, 0).unwrap();
        let bytes = minicbor::to_vec(orders.carry().unwrap()).unwrap();
        let next = RecordOrders::default();
        next.go_on_from(minicbor::decode(&bytes).unwrap()).unwrap();
        assert_eq!(next.take_place(1, 0).unwrap_err().code, ErrorCode::RateLimited);
        assert_eq!(next.take(APP, &user("ada"), 99), Some(until(100)));
    }
}
